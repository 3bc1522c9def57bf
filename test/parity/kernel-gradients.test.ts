/**
 * The kernels' gradients before anything moved, of alpha, zeta and every weight, at C = 4 and C = 16 and on one thread and two:
 * those of float64 along the same branches, which supernet.test.ts holds to golden values at C = 4 through whole searches.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keep, Tensor } from '../../src/torch/index.ts'
import { assertClose } from './fixtures.ts'
import { precise } from './golden-branches.ts'
import { Explorer, Steered } from './kinks.ts'
import { beginning } from './made.ts'
import { assertKernelsRan, manners } from './manners.ts'
import { firstGradients, type Manner } from './trajectory.ts'

function norm(tensors: Iterable<Tensor>): number {
  let squares = 0
  for (const tensor of tensors) for (const value of tensor.floats()) squares += value ** 2
  return Math.sqrt(squares)
}

for (const channels of [4, 16])
  test(`gradients of alpha, zeta and weights at C = ${channels}`, () => {
    const from = beginning(5, { channels, cells: 4, steps: 1, side: 16 })
    const gradients = (manner: Manner, course: Explorer | Steered) => {
      const found = new Map<string, Tensor>()
      const take = (name: string, value: unknown) => {
        if (value instanceof Tensor) found.set(name, keep(value))
      }
      firstGradients(from, manner, course, take, true)
      return found
    }
    const explorer = new Explorer()
    const wanted = gradients(precise, explorer)
    // the weights of all operations sampled in any of the cells, and four tensors of the search
    assert.ok(wanted.size > 100, `only ${wanted.size} gradients`)
    for (const manner of Object.values(manners).filter(({ byKernel }) => byKernel)) {
      const course = new Steered(explorer.branches, true)
      const own = gradients(manner, course)
      assertKernelsRan(course, manner)
      assert.deepEqual([...own.keys()], [...wanted.keys()])
      for (const [name, value] of own)
        assertClose(value, wanted.get(name) ?? assert.fail(name), `gradient of ${name}`, { floor: 1e-6 })
      const [length, golden] = [own, wanted].map((all) => norm(all.values()))
      assert.ok(Math.abs(length - golden) <= 1e-5 * golden, `norm ${length}, float64 ${golden}`)
      for (const value of own.values()) value.dispose()
    }
    for (const value of wanted.values()) value.dispose()
    explorer.dispose()
  })
