/** Synthetic CIFAR files and temporary folders for the tests of `src/data`. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { DdsasError, type ErrorKind } from '../../../src/errors.ts'

export const imageBytes = 3072

/** A new folder that is removed when the test ends. */
export function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'ddsas-data-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Records with the given label bytes; pixel p of record r is (r * 7 + p) mod 256. */
export function records(labelBytes: readonly (readonly number[])[]): Buffer {
  return Buffer.concat(
    labelBytes.map((bytes, row) =>
      Buffer.from([...bytes, ...Array.from({ length: imageBytes }, (_, pixel) => (row * 7 + pixel) % 256)]),
    ),
  )
}

/** The six files of CIFAR-10 with `perFile` records each, labels counting up modulo 10. */
export function writeCifar10(folder: string, perFile = 2): void {
  const names = ['data_batch_1', 'data_batch_2', 'data_batch_3', 'data_batch_4', 'data_batch_5', 'test_batch']
  names.forEach((name, file) => {
    const labels = Array.from({ length: perFile }, (_, row) => [(file * perFile + row) % 10])
    writeFileSync(join(folder, `${name}.bin`), records(labels))
  })
}

/** A predicate for `assert.throws` and `assert.rejects`: a one-line DdsasError of this kind that matches. */
export function failsWith(kind: ErrorKind, ...patterns: readonly RegExp[]): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof DdsasError, `not a DdsasError: ${error}`)
    assert.equal(error.kind, kind, error.message)
    assert.doesNotMatch(error.message, /\n/)
    for (const pattern of patterns) assert.match(error.message, pattern)
    return true
  }
}
