/** Where the golden values lie, and how a test says that they are absent. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { decodeSafetensors, type Tensor } from '../../src/torch/index.ts'

const shared = process.env.DDSAS_SHARED ?? resolve(import.meta.dirname, '../../../shared')

/** Folder of the golden values: DDSAS_FIXTURES, or fixtures/official in DDSAS_SHARED. */
export const fixtures = process.env.DDSAS_FIXTURES ?? join(shared, 'fixtures/official')

/** For node:test's `skip`: false, or why the golden values cannot be compared with. */
export const absent = existsSync(fixtures) ? false : `no golden values at ${fixtures} (set DDSAS_FIXTURES)`

/** Names of the golden files that match a pattern; empty where the folder is absent. */
export function fixtureNames(pattern: RegExp): string[] {
  return absent ? [] : readdirSync(fixtures).filter((name) => pattern.test(name))
}

export function readJson(name: string): unknown {
  return JSON.parse(readFileSync(join(fixtures, name), 'utf8'))
}

export function readTensors(name: string): Map<string, Tensor> {
  return decodeSafetensors(readFileSync(join(fixtures, name)), name).tensors
}
