/** A folder for one test, removed when the test ends; and the check that every raised error is one of ours. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { DdsasError, type ErrorKind } from '../../../src/errors.ts'

export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'ddsas-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs `action`, which must raise a `DdsasError` of `kind` with one line that matches each pattern. */
export function assertRefuses(action: () => unknown, kind: ErrorKind, ...patterns: RegExp[]): void {
  assert.throws(action, (error) => {
    assert.ok(error instanceof DdsasError, String(error))
    assert.equal(error.kind, kind, error.message)
    assert.doesNotMatch(error.message, /\n/)
    for (const pattern of patterns) assert.match(error.message, pattern)
    return true
  })
}
