/** Where the golden values lie, and how a test says that they are absent. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { decodeSafetensors, type Tensor } from '../../src/torch/index.ts'
import { skipWithout } from '../needs.ts'

/** Folder of the data that tests may use where it is there. */
export const shared = process.env.DDSAS_SHARED ?? resolve(import.meta.dirname, '../../../shared')

/** Folder of the golden values: DDSAS_FIXTURES, or fixtures/official in DDSAS_SHARED. */
export const fixtures = process.env.DDSAS_FIXTURES ?? join(shared, 'fixtures/official')

/** For node:test's `skip`: false, or why the golden values cannot be compared with. */
export const absent = skipWithout(
  'shared',
  existsSync(fixtures),
  `no golden values at ${fixtures} (set DDSAS_FIXTURES)`,
)

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

/** A golden tensor by name. */
export function tensorOf(golden: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const found = golden.get(name)
  assert.ok(found, `the golden file holds no '${name}'`)
  return found
}

/** Golden tensors below a prefix, without it; those with an accepted name. */
export function below(
  golden: ReadonlyMap<string, Tensor>,
  prefix: string,
  accept: (name: string) => boolean = () => true,
): Map<string, Tensor> {
  const found = [...golden].filter(([name]) => name.startsWith(prefix))
  return new Map(
    found
      .map(([name, tensor]) => [name.slice(prefix.length), tensor] as const)
      .filter(([name]) => accept(name)),
  )
}

/**
 * Asserts that the largest difference is below 1e-4 of the largest golden value: float32 reductions differ in order.
 * `floor` is the size below which values count as zero.
 */
export function assertClose(
  actual: Tensor | null,
  golden: Tensor,
  what: string,
  { floor = 1e-5, tolerance = 1e-4 } = {},
): void {
  assert.ok(actual, `${what} is missing`)
  assert.deepEqual(actual.shape, golden.shape, `shape of ${what}`)
  const [got, wanted] = [actual.floats(), golden.floats()]
  let [scale, worst] = [floor, 0]
  for (const value of wanted) scale = Math.max(scale, Math.abs(value))
  const broken = got.findIndex((value) => !Number.isFinite(value))
  assert.ok(broken < 0, `${what}[${broken}] is ${got[broken]}`)
  for (let i = 0; i < got.length; i++) worst = Math.max(worst, Math.abs(got[i] - wanted[i]))
  assert.ok(worst <= tolerance * scale, `${what}: differs by ${worst} where the largest value is ${scale}`)
}
