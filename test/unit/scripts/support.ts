/** Small trees of files for the tests of the scripts. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'

export const repository = join(import.meta.dirname, '../../..')

/** Writes files, given as path and text, below a new folder that the test removes at its end. */
export function tree(test: TestContext, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'ddsas-scripts-'))
  test.after(() => rmSync(root, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(files)) {
    const file = join(root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  return root
}

/** The exports of a plain JavaScript module, typed by the test that uses them. */
export async function load<T>(path: string): Promise<T> {
  const module: T = await import(join(repository, path))
  return module
}
