/** Damaged and random PyTorch files: each is read or refused, soon and within the memory allowed. */
import { test } from 'node:test'
import fc from 'fast-check'
import { writePytorchFile } from '../../../src/export/pytorch-writer.ts'
import { Tensor, tidy } from '../../../src/torch/index.ts'
import { applyChanges, changes, survives } from './damage.ts'
import { bytes, dict, int, legacyFile, pickle, tensor, text, zipFile } from './pickles.ts'

const matrix = { shape: [2, 3], strides: [3, 1] }
const body = pickle(
  dict({
    state_dict: dict({ weight: tensor(matrix), bias: tensor({ shape: [3, 2], strides: [1, 3] }) }),
    epoch: int(3),
    names: bytes('](', text('a'), text('b'), 'e'),
  }),
)

const written = tidy(() => writePytorchFile([['norm.running_var', Tensor.from(new Float32Array(4), [4])]]))

test('files with changed, missing and added bytes', () => {
  const files = fc.constantFrom(zipFile(body), legacyFile(body), written)
  fc.assert(
    fc.property(files, changes, (data, list) => survives(applyChanges(data, list))),
    { numRuns: 1500 },
  )
})

test('pickles that are changed, in files whose checksums agree', () => {
  fc.assert(
    fc.property(changes, fc.boolean(), (list, legacy) => {
      const changed = applyChanges(body, list)
      survives(legacy ? legacyFile(changed) : zipFile(changed))
    }),
    { numRuns: 1500 },
  )
})

test('random sequences of allowed opcodes', () => {
  const part = fc.constantFrom<Uint8Array>(
    ...[')', ']', '}', '(', 't', 'a', 'e', 's', 'u', 'R', 'Q', 'b', 'N'].map((code) => bytes(code)),
    ...[0x85, 0x86, 0x87, 0x88, 0x89, 0x81, 0x8f, 0x90, 0x93, 0x94].map((code) => bytes(code)),
    ...[0, 1, 2].flatMap((index) => [bytes('q', index), bytes('h', index)]),
    ...[text('torch'), text('Size'), text('0'), text('storage'), int(0), int(3), int(0x7fffffff)],
    ...['collections\nOrderedDict\n', 'torch._utils\n_rebuild_tensor_v2\n', 'torch\nFloatStorage\n'].map(
      (name) => bytes('c', name),
    ),
    tensor(matrix),
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 60 }), (parts) => survives(zipFile(pickle(...parts)))),
    { numRuns: 1500 },
  )
})

test('long pickles of one opcode take time in proportion', () => {
  const repeat = (unit: Uint8Array, count = 200_000) => Buffer.alloc(unit.length * count, unit)
  const start = dict({ x: tensor(matrix) })
  for (const unit of [bytes('('), bytes(']'), bytes(0x85), bytes('}N', 'Ns'), bytes('q', 0), bytes(0x94)])
    survives(zipFile(pickle(start, repeat(unit))))
  const list = bytes(']', 'q', 9, '(', repeat(bytes('N')), 'e')
  survives(zipFile(pickle(list, repeat(bytes('h', 9, 0x85)))))
  survives(zipFile(pickle(list, repeat(bytes('ctorch\nSize\n', 'h', 9, 0x85, 'R'), 20_000))))
  survives(
    zipFile(
      pickle(
        dict({
          a: list,
          x: tensor(matrix),
          ...Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`b${i}`, bytes('h', 9)])),
        }),
      ),
    ),
  )
})
