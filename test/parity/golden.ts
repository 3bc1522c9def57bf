/** Holds what a search computes to golden values, and makes golden values of a search. */
import assert from 'node:assert/strict'
import { keep, Tensor, to } from '../../src/torch/index.ts'
import { assertClose } from './fixtures.ts'
import {
  type Course,
  firstGradients,
  free,
  type Golden,
  type Manner,
  type Observer,
  trajectory,
} from './trajectory.ts'

/** Asserts that numbers agree to 1e-4, and says to how much they do. */
function near(actual: number, wanted: number, what: string): number {
  const off = Math.abs(actual / wanted - 1)
  assert.ok(off <= 1e-4, `${what}: ${actual}, golden ${wanted}`)
  return off
}

/** The number that a golden log has under a name like `step3/train_loss`. */
function numberOf({ recorded }: Golden, name: string): number {
  const [, step, key] = /^step(\d+)\/(valid_loss|train_loss|grad_norm)$/.exec(name) ?? []
  const entry = recorded.log[Number(step)]
  assert.ok(
    entry !== undefined && (key === 'valid_loss' || key === 'train_loss' || key === 'grad_norm'),
    name,
  )
  return entry[key]
}

/** Whether an operation was in some window the only one sampled on its edge. */
function wasAlone({ tensors }: Golden, cell: string, edge: number, operation: number): boolean {
  return [...tensors].some(([name, mask]) => {
    if (!name.endsWith(`/mask.${cell}`)) return false
    const row = mask.bytes().subarray(edge * mask.shape[1], (edge + 1) * mask.shape[1])
    return row[operation] === 1 && row.reduce((sum, bit) => sum + bit, 0) === 1
  })
}

/**
 * Final alpha or zeta. The weight of an operation alone on its edge is 1 whatever its zeta, so that its gradient is
 * zero; what the golden run has there is rounding, which Adam scales up to a part of its step. Those entries are held to
 * a hundredth of the way Adam can go, all others to 1e-4.
 */
function holdParameter(golden: Golden, name: string, value: Tensor, wanted: Tensor): void {
  const { arch, log } = golden.recorded
  const expected = wanted.matrix()
  const scale = Math.max(...expected.flat().map(Math.abs))
  const [, , cell = ''] = name.split(/[/.]/)
  for (const [edge, row] of value.matrix().entries())
    for (const [k, own] of row.entries()) {
      const allowed = wasAlone(golden, cell, edge, k) ? 0.01 * arch.lr * log.length : 1e-4 * scale
      const difference = Math.abs(own - expected[edge][k])
      assert.ok(difference <= allowed, `${name}[${edge}][${k}]: differs by ${difference}`)
    }
}

/** How many values agreed with golden ones so far, and to how much those did that are a number of a step, else 0. */
export interface Held {
  agreed: number
  off: number[]
}

export const nothingYet = (): Held => ({ agreed: 0, off: [] })

/** Compares with golden values, of which a file holds a subspace where it changes, and the last weights of some cells. */
export function comparison(golden: Golden, held: Held): Observer {
  return (name, value) => {
    const wanted = golden.tensors.get(name)
    let off = 0
    if (typeof value === 'number') off = near(value, numberOf(golden, name), name)
    else if (wanted === undefined) return
    else if (!(value instanceof Tensor)) assert.deepEqual(value, [...wanted.bytes()].map(Boolean), name)
    else if (/^final\/(alpha|zeta)\./.test(name)) holdParameter(golden, name, value, wanted)
    else assertClose(value, wanted, name, { floor: name.includes('/grad/') ? 1e-6 : 1e-5 })
    held.agreed += 1
    held.off.push(off)
  }
}

/** How many values of a golden file a whole search is held to: all but where it begins, and its batches. */
export function comparable({ recorded, tensors }: Golden): number {
  const held = [...tensors.keys()].filter((name) => /^final\/|\/(mask|grad)[./]/.test(name))
  return 3 * recorded.log.length + held.length
}

/** Holds a whole search, first gradients included, to golden values: to every one of the file. The first that differs throws. */
export function holdToGolden(
  golden: Golden,
  manner: Manner,
  course: Course = free,
  held = nothingYet(),
): void {
  const observe = comparison(golden, held)
  firstGradients(golden, manner, course, observe)
  trajectory(golden, manner, course, observe)
  assert.equal(held.agreed, comparable(golden), 'values that were compared')
}

/** Golden values as a search that begins and is fed like another one computes them. */
export function makeGolden(from: Golden, manner: Manner, course: Course = free): Golden {
  const given = [...from.tensors].filter(([name]) => /^init\/|\/(train|valid)\.[xy]$/.test(name))
  const tensors = new Map(given)
  const numbers = new Map<string, number>()
  const observe: Observer = (name, value) => {
    if (typeof value === 'number') numbers.set(name, Math.fround(value))
    else if (value instanceof Tensor) tensors.set(name, keep(to(value, { dtype: 'float32' })))
    else tensors.set(name, keep(Tensor.from(Uint8Array.from(value, Number), maskShape(from), 'bool')))
  }
  firstGradients(from, manner, course, observe)
  trajectory(from, manner, course, observe)
  const at = (step: number, key: string) => numbers.get(`step${step}/${key}`) ?? assert.fail(key)
  const log = Array.from({ length: from.recorded.steps }, (_, step) => ({
    valid_loss: at(step, 'valid_loss'),
    train_loss: at(step, 'train_loss'),
    grad_norm: at(step, 'grad_norm'),
  }))
  return { recorded: { ...from.recorded, log }, tensors }
}

const maskShape = ({ recorded }: Golden) => [14, recorded.primitives.length]
