/** Files written by a real PyTorch: the golden ones, and, where a Python has torch, fresh ones in every shape. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { DdsasError } from '../../src/errors.ts'
import { readPytorchFile } from '../../src/export/pytorch-file.ts'
import { withoutBatchCounters, writePytorchFile } from '../../src/export/pytorch-writer.ts'
import { StoredTensor } from '../../src/export/stored-tensor.ts'
import { Tensor, tidy, to } from '../../src/torch/index.ts'
import { applyChanges, changes, survives } from '../unit/export/damage.ts'
import { runPython, withoutPython } from '../unit/export/python.ts'
import { assertRefuses, temporaryFolder } from '../unit/runs/temporary.ts'
import { absent, below, fixtures, readTensors } from './fixtures.ts'

const golden = (name: string) => readPytorchFile(readFileSync(join(fixtures, 'pytorch-files', name)), name)

for (const format of ['zip', 'legacy'])
  test(
    `the golden network in the ${format} format holds the weights of its safetensors`,
    { skip: absent },
    () =>
      tidy(() => {
        const { tensors, other } = golden(`network.cifar.${format}.pt`)
        const wanted = below(readTensors('network.cifar.safetensors'), 'init/')
        const weights = withoutBatchCounters(tensors)
        assert.deepEqual([...weights.keys()].sort(), [...wanted.keys()].sort())
        for (const [name, tensor] of wanted) {
          assert.deepEqual(weights.get(name)?.shape, tensor.shape, name)
          assert.deepEqual(weights.get(name)?.bytes(), tensor.bytes(), name)
        }
        const counter = tensors.get('stem.1.num_batches_tracked')
        assert.deepEqual([counter?.dtype, counter?.shape], ['int64', []])
        assert.equal(other.size, 0)
      }),
  )

test('the golden checkpoint: model, optimizer state and epoch', { skip: absent }, () =>
  tidy(() => {
    const { tensors, other } = golden('checkpoint.zip.pt')
    assert.deepEqual([...tensors.keys()], ['weight', 'bias'])
    assert.deepEqual([other.get('epoch'), other.get('best_val_acc')], [3, 97.5])
    const optimizer = other.get('optimizer')
    const state = optimizer instanceof Map ? optimizer.get('state') : undefined
    const first = state instanceof Map ? state.get(0) : undefined
    const momentum = first instanceof Map ? first.get('momentum_buffer') : undefined
    assert.ok(momentum instanceof StoredTensor)
    assert.deepEqual(momentum.read().shape, [2, 3])
  }),
)

test('the golden hostile pickle is refused and not run', { skip: absent }, () => {
  assertRefuses(() => golden('hostile.zip.pt'), 'data', /hostile\.zip\.pt .*posix\.system/)
})

/** Saves one state dict in every format, and its values as JSON. */
const writer = `
import json, sys, torch
torch.manual_seed(0)
base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
state = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).state_dict()
state['channels_last'] = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
state['transposed'], state['part'], state['step'] = base.permute(2, 0, 1), base[1, 1:, 1:3], base[:, :, ::2]
state['expanded'], state['scalar'], state['empty'] = torch.ones(1).expand(3, 2), torch.tensor(1.5), torch.zeros(0, 4)
state['parameter'], state['tied'] = torch.nn.Parameter(base), base
for name in 'uint8 int32 int64 float16 bfloat16 float64 bool'.split():
    state[name] = torch.tensor([0, 1, 1, 0]).to(getattr(torch, name))
json.dump({k: [list(v.shape), v.double().flatten().tolist()] for k, v in state.items()}, open('values.json', 'w'))
optimizer = torch.optim.SGD([torch.nn.Parameter(base)], lr=0.1)
checkpoint = {'epoch': 7, 'state_dict': {'module.' + k: v for k, v in state.items()}, 'optimizer': optimizer.state_dict(),
              'best': torch.tensor(3.5), 'size': base.shape, 'dtype': torch.float16, 'device': torch.device('cpu'),
              'history': [1.5, None, True, 2 ** 70, 'x', (1, 2)]}
for zipped in (True, False):
    for protocol in (2, 3, 4):
        torch.save(state, f'state.{zipped}.{protocol}.pt', pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    torch.save(checkpoint, f'checkpoint.{zipped}.pt', _use_new_zipfile_serialization=zipped)
class Compiled(torch.nn.Module):
    def __init__(self, module):
        super().__init__()
        self._orig_mod = module
# PyTorch 1.13 has no compile; what later ones save of a compiled module are the names that this gives
compiled = getattr(torch, 'compile', Compiled)
model = torch.nn.Sequential(torch.nn.Linear(2, 2))
torch.save(torch.nn.DataParallel(model).state_dict(), 'parallel.pt')
torch.save(compiled(model).state_dict(), 'compiled.pt')
torch.save(torch.nn.DataParallel(compiled(model)).state_dict(), 'both.pt')
torch.save(torch.nn.Linear(2, 2), 'module.pt')
torch.save({'a': torch.zeros(2, dtype=torch.int16)}, 'short.pt')
torch.save({'a': torch.zeros(2, dtype=torch.complex64)}, 'complex.pt')
torch.jit.script(torch.nn.Linear(2, 2)).save('script.pt')
`

const valuesSchema = z.record(z.string(), z.tuple([z.array(z.number()), z.array(z.number())]))

function assertHolds(tensors: ReadonlyMap<string, Tensor>, values: z.infer<typeof valuesSchema>): void {
  assert.deepEqual([...tensors.keys()], Object.keys(values))
  for (const [name, [shape, wanted]] of Object.entries(values)) {
    const found = tensors.get(name)
    assert.ok(found)
    assert.deepEqual(found.shape, shape, name)
    assert.deepEqual([...to(found, { dtype: 'float64' }).floats()], wanted, name)
  }
}

test('fresh files of every format, protocol, element type and stride', {
  skip: withoutPython('torch'),
}, (t) => {
  const folder = temporaryFolder(t)
  runPython(writer, [], folder)
  const values = valuesSchema.parse(JSON.parse(readFileSync(join(folder, 'values.json'), 'utf8')))
  const read = (name: string) => readPytorchFile(readFileSync(join(folder, name)), name)
  for (const zipped of ['True', 'False'])
    tidy(() => {
      for (const protocol of [2, 3, 4]) assertHolds(read(`state.${zipped}.${protocol}.pt`).tensors, values)
      const { tensors, other } = read(`checkpoint.${zipped}.pt`)
      assertHolds(tensors, values)
      const plain = ['epoch', 'size', 'dtype', 'device', 'history'].map((key) => other.get(key))
      const history = [1.5, null, true, 2n ** 70n, 'x', [1, 2]]
      assert.deepEqual(plain, [7, [2, 3, 4], 'torch.float16', 'cpu', history])
    })
  for (const name of ['parallel.pt', 'compiled.pt', 'both.pt'])
    tidy(() => assert.deepEqual([...read(name).tensors.keys()], ['0.weight', '0.bias'], name))
  assertRefuses(() => read('short.pt'), 'data', /torch\.ShortStorage/)
  assertRefuses(() => read('module.pt'), 'data', /torch\.nn\.modules\.linear\.Linear/, /state_dict/)
  assertRefuses(() => read('complex.pt'), 'data', /torch\.ComplexFloatStorage/)
  assertRefuses(() => read('script.pt'), 'data', /TorchScript/)
})

/** The bytes of all tensors, or undefined where the file is refused. */
function contents(data: Uint8Array): Map<string, Uint8Array> | undefined {
  return tidy(() => {
    try {
      const { tensors } = readPytorchFile(data, 'the.file')
      return new Map([...tensors].map(([name, tensor]) => [name, tensor.bytes()]))
    } catch (error) {
      assert.ok(error instanceof DdsasError && error.kind === 'data', String(error))
      return undefined
    }
  })
}

test('a damaged zip file of PyTorch is refused or holds the same tensors', { skip: absent }, () => {
  const file = readFileSync(join(fixtures, 'pytorch-files/checkpoint.zip.pt'))
  const wanted = contents(file)
  assert.equal(wanted?.size, 2)
  let sound = 0
  fc.assert(
    fc.property(changes, (list) => {
      const found = contents(applyChanges(file, list))
      if (found === undefined) return
      assert.deepEqual(found, wanted)
      sound += 1
    }),
    { numRuns: 1000 },
  )
  assert.ok(sound > 0)
})

test('damaged files of PyTorch, also without checksums, end soon and in bounds', {
  skip: withoutPython('torch'),
}, (t) => {
  const folder = temporaryFolder(t)
  runPython(writer, [], folder)
  const names = ['state.True.2.pt', 'state.False.2.pt', 'state.False.4.pt', 'checkpoint.False.pt']
  const files = names.map((name) => readFileSync(join(folder, name)))
  fc.assert(
    fc.property(fc.constantFrom(...files), changes, (data, list) => survives(applyChanges(data, list))),
    { numRuns: 1000 },
  )
})

/**
 * Loads what we wrote as PyTorch does by default: weights only; also into a module, strictly. PyTorch 2.1 and later can map
 * a file into memory; what they need for it, storages that lie in the file as in memory, is asked of any PyTorch.
 */
const reader = `
import inspect, mmap, torch, zipfile
state = torch.load('ours.pt', weights_only=True)
if 'mmap' in inspect.signature(torch.load).parameters:
    assert torch.load('ours.pt', weights_only=True, mmap=True).keys() == state.keys()
with open('ours.pt', 'rb') as file, zipfile.ZipFile('ours.pt') as entries:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    names = [entry.filename.split('/', 1)[1] for entry in entries.infolist()]
    for number, tensor in enumerate(state.values()):
        entry = entries.infolist()[names.index(f'data/{number}')]
        name, extra = (int.from_bytes(mapped[entry.header_offset + at:][:2], 'little') for at in (26, 28))
        found = mapped[entry.header_offset + 30 + name + extra:][:entry.file_size]
        wanted = bytes(tensor.clone().contiguous().view(-1).view(torch.uint8).tolist())
        assert entry.compress_type == zipfile.ZIP_STORED and found == wanted, entry.filename
module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
module.load_state_dict({k: v for k, v in state.items() if k[0] in '01'}, strict=True)
print({k: (str(v.dtype), tuple(v.shape), v.flatten().tolist()) for k, v in state.items() if k[0] not in '01'})
print(module[1].num_batches_tracked.dtype, module[1].running_var.tolist())
`

test('PyTorch loads what is written here, and a module takes it strictly', {
  skip: withoutPython('torch'),
}, (t) => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'ours.pt')
  tidy(() => {
    const ones = (...shape: number[]) =>
      Tensor.from(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape)
    const half = to(Tensor.from(Float32Array.of(0.5, 2), [2]), { dtype: 'bfloat16' })
    writeFileSync(
      file,
      writePytorchFile([
        ['0.weight', ones(4, 3, 3, 3)],
        ['0.bias', ones(4)],
        ['1.weight', ones(4)],
        ['1.bias', ones(4)],
        ['1.running_mean', ones(4)],
        ['1.running_var', ones(4)],
        ['half', half],
        ['größe', Tensor.from(BigInt64Array.of(2n ** 40n), [])],
        ['flag', Tensor.from(Uint8Array.of(1, 0), [1, 2], 'bool')],
      ]),
    )
  })
  assert.ok(existsSync(file))
  assert.deepEqual(runPython(reader, [], folder).trim().split('\n'), [
    "{'half': ('torch.bfloat16', (2,), [0.5, 2.0]), 'größe': ('torch.int64', (), [1099511627776]), 'flag': ('torch.bool', (1, 2), [True, False])}",
    'torch.int64 [1.0, 1.0, 1.0, 1.0]',
  ])
})
