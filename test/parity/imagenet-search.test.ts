/**
 * The search on ImageNet in miniature against the published code's. float64 decides every kink as the golden values have it; the
 * other manners go along its branches, as in supernet.test.ts.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Tensor } from '../../src/torch/index.ts'
import { skipWithout } from '../needs.ts'
import { fixtures, readJson, readTensors } from './fixtures.ts'
import { precise } from './golden-branches.ts'
import { type ImagenetGolden, imagenetSchema, imagenetSearch, type Observer } from './imagenet-search.ts'
import { Explorer, Steered } from './kinks.ts'
import { assertKernelsRan, manners } from './manners.ts'
import { withSearch } from './trajectory.ts'

const name = 'methods/supernet.imagenet'
const absent = skipWithout(
  'shared',
  existsSync(join(fixtures, `${name}.json`)),
  `no golden values of ${name}`,
)

function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

const golden = once(
  (): ImagenetGolden => ({
    recorded: imagenetSchema.parse(readJson(`${name}.json`)),
    tensors: readTensors(`${name}.safetensors`),
  }),
)

/** ||a - b|| / ||b||. */
function apart(values: Iterable<number>, wanted: ArrayLike<number>): number {
  let [difference, whole, index] = [0, 0, 0]
  for (const value of values) {
    difference += (value - wanted[index]) ** 2
    whole += wanted[index] ** 2
    index += 1
  }
  assert.equal(index, wanted.length)
  return Math.sqrt(difference / Math.max(whole, 1e-20))
}

/** Holds what is computed to the golden values, tensor by tensor, and counts them. */
function held(seen: Map<string, number>): Observer {
  const { recorded, tensors } = golden()
  return (what, value) => {
    const tolerance = what.startsWith('step0/') ? 1e-4 : 5e-4
    const [, step, key] = /^step(\d)\/(valid_loss|train_loss|grad_norm_all)$/.exec(what) ?? []
    const wanted = tensors.get(what)
    let off = 0
    if (typeof value === 'number') {
      assert.ok(key === 'valid_loss' || key === 'train_loss' || key === 'grad_norm_all', what)
      off = Math.abs(value / recorded.log[Number(step)][key] - 1)
    } else if (wanted === undefined) return
    else if (wanted.dtype === 'bool') {
      assert.ok(!(value instanceof Tensor))
      assert.deepEqual(value, [...wanted.bytes()].map(Boolean), what)
    } else {
      const numbers = value instanceof Tensor ? value.floats() : value.map(Number)
      off = apart(numbers, wanted.floats())
    }
    assert.ok(off <= tolerance, `${what}: apart by ${off}`)
    seen.set(what, off)
  }
}

/** All but where the search begins, and its batches. */
function assertAllSeen(seen: ReadonlyMap<string, number>): number {
  const { recorded, tensors } = golden()
  const wanted = [...tensors.keys()].filter((key) => !/^init\/|\.[xy]$/.test(key))
  for (const what of wanted) assert.ok(seen.has(what), `${what} was not compared`)
  assert.equal(seen.size, wanted.length + 3 * recorded.log.length)
  return Math.max(...seen.values())
}

const along = once(() => {
  const explorer = new Explorer()
  const seen = new Map<string, number>()
  imagenetSearch(golden(), precise, explorer, held(seen))
  return { branches: explorer.branches, worst: assertAllSeen(seen) }
})

test('the ImageNet search, float64, channels last', { skip: absent }, (t) => {
  t.diagnostic(`at most ${along().worst.toExponential(1)} apart`)
})

for (const [how, manner] of Object.entries(manners))
  test(`the ImageNet search, ${how}`, { skip: absent }, (t) => {
    const course = new Steered(along().branches, manner.byKernel)
    const seen = new Map<string, number>()
    imagenetSearch(golden(), manner, course, held(seen))
    const worst = assertAllSeen(seen)
    assertKernelsRan(course, manner)
    assert.ok(
      course.answered <= course.calls / 50,
      `${course.answered} of ${course.calls} calls were answered`,
    )
    t.diagnostic(
      `at most ${worst.toExponential(1)} apart; ${course.kinks} kinks decided as the golden values`,
    )
  })

test('what SGD owns, and what was never sampled stays as it was drawn', { skip: absent }, () => {
  const { recorded, tensors } = golden()
  const [before, after] = [new Map<string, Uint8Array>(), new Map<string, Uint8Array>()]
  withSearch(
    golden(),
    precise,
    ({ sgd, strategy }) => {
      assert.equal(sgd.parameters.size, recorded.counts.in_weight_optimizer)
      assert.equal(sgd.parameters.size + strategy.parameters().size, recorded.counts.parameters_of_model)
      for (const [key, weight] of sgd.parameters) before.set(key, weight.bytes())
    },
    'imagenet',
  )
  assert.ok(tensors.size > 0)
  imagenetSearch(golden(), precise, new Explorer(), (what, value) => {
    if (what.startsWith('final/') && value instanceof Tensor) after.set(what.slice(6), value.bytes())
  })
  const moved = [...before].filter(([key, bytes]) => Buffer.compare(bytes, after.get(key) ?? bytes) !== 0)
  const still = [...before.keys()].filter((key) => !moved.some(([other]) => other === key))
  assert.deepEqual(new Set(still), new Set(recorded.never_updated))
})
