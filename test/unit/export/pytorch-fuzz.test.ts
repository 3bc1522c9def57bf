/** Damaged and random PyTorch files: each is read or refused, soon and within the memory allowed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DdsasError } from '../../../src/errors.ts'
import { readPytorchFile } from '../../../src/export/pytorch-file.ts'
import { writePytorchFile } from '../../../src/export/pytorch-writer.ts'
import { allowance } from '../../../src/export/zip-reader.ts'
import { liveSlots, resetPeakMemory, Tensor, tensorMemory, tidy } from '../../../src/torch/index.ts'
import { bytes, dict, int, legacyFile, pickle, tensor, text, zipFile } from './pickles.ts'

const matrix = { shape: [2, 3], strides: [3, 1] }
const body = pickle(
  dict({
    state_dict: dict({ weight: tensor(matrix), bias: tensor({ shape: [3, 2], strides: [1, 3] }) }),
    epoch: int(3),
    names: bytes('](', text('a'), text('b'), 'e'),
  }),
)

const maxMilliseconds = 5_000

/** Reads data; anything but success or our refusal fails, as does work out of proportion. */
function survives(data: Uint8Array): void {
  const slots = liveSlots()
  resetPeakMemory()
  const before = tensorMemory().live
  const start = performance.now()
  tidy(() => {
    try {
      readPytorchFile(data, 'the.file')
    } catch (error) {
      assert.ok(error instanceof DdsasError, error instanceof Error ? error.stack : String(error))
      assert.equal(error.kind, 'data', error.message)
    }
  })
  assert.equal(liveSlots(), slots)
  assert.ok(tensorMemory().peak - before <= 2 * allowance(data.length))
  assert.ok(performance.now() - start < maxMilliseconds)
}

const change = fc.record({
  kind: fc.constantFrom('flip', 'set', 'cut', 'insert', 'remove'),
  at: fc.nat(10_000),
  value: fc.nat(255),
})

function apply(
  data: Uint8Array,
  changes: readonly { kind: string; at: number; value: number }[],
): Uint8Array {
  return changes.reduce<Uint8Array>((current, { kind, at, value }) => {
    const index = at % Math.max(1, current.length)
    const copy = Buffer.from(current)
    if (kind === 'flip') copy[index] ^= 1 << (value % 8)
    if (kind === 'set') copy[index] = value
    if (kind === 'cut') return copy.subarray(0, index)
    if (kind === 'insert')
      return Buffer.concat([copy.subarray(0, index), Buffer.of(value), copy.subarray(index)])
    if (kind === 'remove') return Buffer.concat([copy.subarray(0, index), copy.subarray(index + 1)])
    return copy
  }, data)
}

const changes = fc.array(change, { minLength: 1, maxLength: 4 })
const written = tidy(() => writePytorchFile([['norm.running_var', Tensor.from(new Float32Array(4), [4])]]))

test('files with changed, missing and added bytes', () => {
  const files = fc.constantFrom(zipFile(body), legacyFile(body), written)
  fc.assert(
    fc.property(files, changes, (data, list) => survives(apply(data, list))),
    { numRuns: 1500 },
  )
})

test('pickles that are changed, in files whose checksums agree', () => {
  fc.assert(
    fc.property(changes, fc.boolean(), (list, legacy) => {
      const changed = apply(body, list)
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
