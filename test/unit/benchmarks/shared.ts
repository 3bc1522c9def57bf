/** The shared data of NAS-Bench-201, and small made files of each kind, for the tests of tables. */
import { join, resolve } from 'node:path'
import { importNasbench201 } from '../../../src/benchmarks/index.ts'
import { bytes, dict, int, text, tuple } from '../export/pickles.ts'
import { assertRefuses } from '../runs/temporary.ts'

const shared = process.env.DDSAS_SHARED ?? resolve(import.meta.dirname, '../../../../shared')

/** All architectures as CSV. */
export const csvFile = join(shared, 'data/nasbench201/nasbench201.csv')
/** Genuine files of the architectures 0, 11 and 284. */
export const tssFolder = join(shared, 'data/nats-bench-tss-sample')
export const sampled = [0, 11, 284] as const

/** BINFLOAT. */
export function float(value: number): Buffer {
  const data = Buffer.alloc(8)
  data.writeDoubleBE(value)
  return bytes('G', data)
}

/** BINPUT or LONG_BINPUT behind a value, as Python's pickler memoizes. */
export function put(index: number): Buffer {
  const data = Buffer.alloc(4)
  data.writeUInt32LE(index)
  return index < 256 ? bytes('q', index) : bytes('r', data)
}

/** A dictionary of any keys. */
function mapOf(entries: readonly (readonly [Uint8Array, Uint8Array])[]): Buffer {
  return bytes('}(', ...entries.flat(), 'u')
}

export interface MadeTraining {
  readonly dataset: string
  readonly seed: number
  readonly epochs: number
  readonly accuracies: Readonly<Record<string, number>>
}

/** The state of one training, with curves as long as real ones have. */
function training({ dataset, epochs, accuracies, seed }: MadeTraining): Buffer {
  const curve = mapOf(Array.from({ length: epochs }, (_, epoch) => [int(epoch), float(epoch / 7)] as const))
  const evaluated = mapOf(
    Object.entries(accuracies).flatMap(([name, value]) => [
      [text(`${name}@0`), float(1)] as const,
      [text(`${name}@${epochs - 1}`), float(value)] as const,
    ]),
  )
  return dict({
    name: text(dataset),
    train_acc1es: curve,
    train_losses: curve,
    params: float(0.073306),
    flop: float(7.78305),
    seed: int(seed),
    epochs: int(epochs),
    eval_acc1es: evaluated,
    net_state_dict: 'N',
  })
}

/** ArchResults of one architecture: what the published files hold of it for one number of epochs. */
export function archResults(index: number, architecture: string, trainings: readonly MadeTraining[]): Buffer {
  const results = trainings.map(
    (made) => [tuple(text(made.dataset), int(made.seed)), training(made)] as const,
  )
  return dict({
    arch_index: int(index),
    arch_str: text(architecture),
    all_results: mapOf(results),
    dataset_seed: dict({}),
    clear_net_done: bytes(0x88),
  })
}

/** Trainings of an architecture whose accuracies are these numbers plus 0, 1, 2, … */
export function madeTrainings(base: number, epochs: number): MadeTraining[] {
  return [
    { dataset: 'cifar10-valid', seed: 777, epochs, accuracies: { 'x-valid': base, 'ori-test': 99 } },
    { dataset: 'cifar10-valid', seed: 888, epochs, accuracies: { 'x-valid': base + 0.5 } },
    { dataset: 'cifar10', seed: 777, epochs, accuracies: { 'ori-test': base + 1 } },
    { dataset: 'cifar100', seed: 777, epochs, accuracies: { 'x-valid': base + 2, 'x-test': base + 3 } },
    { dataset: 'ImageNet16-120', seed: 777, epochs, accuracies: { 'x-valid': base + 4, 'x-test': base + 5 } },
  ]
}

/** The dictionary of NAS-Bench-201's .pth: by the numbers of the architectures, what they have after 12 and 200 epochs. */
export function pthDictionary(architectures: readonly (readonly [number, string])[]): Buffer {
  const infos = architectures.map(
    ([index, architecture]) =>
      [
        int(index),
        dict({
          full: archResults(index, architecture, madeTrainings(20 + (index % 50), 200)),
          less: archResults(index, architecture, madeTrainings(10 + (index % 50), 12)),
        }),
      ] as const,
  )
  return dict({
    meta_archs: bytes('](', ...architectures.map(([, architecture]) => text(architecture)), 'e'),
    total_archs: int(15_625),
    arch2infos: mapOf(infos),
    evaluated_indexes: bytes(
      'c__builtin__\nset\n',
      tuple(bytes('](', ...architectures.map(([index]) => int(index)), 'e')),
      'R',
    ),
  })
}

/** Asserts that an import refuses a file, naming it, with a message that matches every pattern. */
export async function refusedImport(path: string, ...patterns: readonly RegExp[]): Promise<void> {
  const error = await importNasbench201(path).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  const rethrow = () => {
    throw error
  }
  assertRefuses(rethrow, 'data', /cannot be read as results of NAS-Bench-201/, ...patterns)
}
