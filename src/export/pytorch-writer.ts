/** Writes weights in the zip format of torch.save, so that `torch.load` and `load_state_dict(strict=True)` take them. */
import { Tensor, tidy } from '../torch/index.ts'
import { pickleStateDict } from './pickle-writer.ts'
import { writeZip } from './zip-writer.ts'

/** How torch.nn.BatchNorm2d counts its batches: an int64 scalar that nothing here uses. */
const counterName = 'num_batches_tracked'
const lastStatistic = 'running_var'

/** The folder inside the archive; torch.save names it after the file. */
const folder = 'archive'

/**
 * The bytes of a `.pt` file with these tensors (from any device) as a state dict. Each batch norm's running statistics
 * are followed by its `num_batches_tracked`, int64 0, where it is not given: a state dict of PyTorch has them.
 * @throws {DdsasError} `input` when the file would have more than 4 GiB.
 */
export function writePytorchFile(tensors: Iterable<readonly [string, Tensor]>): Uint8Array {
  return tidy(() => {
    const all = withBatchCounters(new Map(tensors))
    return writeZip([
      [`${folder}/data.pkl`, pickleStateDict(all)],
      [`${folder}/byteorder`, Buffer.from('little')],
      ...all.map(([, tensor], index) => [`${folder}/data/${index}`, tensor.bytes()] as const),
      [`${folder}/version`, Buffer.from('3\n')],
    ])
  })
}

function withBatchCounters(tensors: ReadonlyMap<string, Tensor>): (readonly [string, Tensor])[] {
  return [...tensors].flatMap(([name, tensor]) => {
    const counter = name.replace(/[^.]+$/, counterName)
    const isLast = name.endsWith(`.${lastStatistic}`) || name === lastStatistic
    if (!isLast || tensors.has(counter)) return [[name, tensor] as const]
    return [[name, tensor] as const, [counter, Tensor.from(BigInt64Array.of(0n), [])] as const]
  })
}

/** The tensors without the `num_batches_tracked` of batch norms, which networks here do not have. */
export function withoutBatchCounters(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map([...tensors].filter(([name]) => !/(^|\.)num_batches_tracked$/.test(name)))
}
