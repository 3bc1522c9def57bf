/** Damages files at random, and says whether the reader of PyTorch files gets over what comes out. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { DdsasError } from '../../../src/errors.ts'
import { readPytorchFile } from '../../../src/export/pytorch-file.ts'
import { allowance } from '../../../src/formats/zip-reader.ts'
import { liveSlots, resetPeakMemory, tensorMemory, tidy } from '../../../src/torch/index.ts'

/** Of processor time: a clock would count what else the machine does. */
const maxSeconds = 5

/** Reads data as a PyTorch file; anything but success or our refusal fails, as does work out of proportion. */
export function survives(data: Uint8Array): void {
  const slots = liveSlots()
  resetPeakMemory()
  const before = tensorMemory().live
  const start = process.cpuUsage()
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
  const { user, system } = process.cpuUsage(start)
  assert.ok(user + system < 1e6 * maxSeconds)
}

const change = fc.record({
  kind: fc.constantFrom('flip', 'set', 'cut', 'insert', 'remove'),
  at: fc.nat(10_000),
  value: fc.nat(255),
})

/** Data with changes made one after the other. */
export function applyChanges(
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

export const changes = fc.array(change, { minLength: 1, maxLength: 4 })
