/** The ways a search is computed in tests of parity, and that it goes along the branches of golden values in each. */
import assert from 'node:assert/strict'
import { channelsLast, instructionSets, withoutKernels } from '../../src/torch/index.ts'
import { runsIn } from '../unit/torch/runs.ts'
import type { Branch } from './branches.ts'
import { holdToGolden } from './golden.ts'
import { Steered } from './kinks.ts'
import type { Golden, Manner } from './trajectory.ts'

const single = { dtype: 'float32', threads: 1 } as const
const kernels: Manner = { ...single, layout: channelsLast, run: (body) => body(), byKernel: true }

/** Float32 in different orders of rounding, the first being that in which golden values were computed. */
export const manners: Readonly<Record<string, Manner>> = {
  'float32, NCHW, ATen': { ...single, layout: (x) => x, run: withoutKernels, byKernel: false },
  'float32, channels last, ATen': { ...single, layout: channelsLast, run: withoutKernels, byKernel: false },
  'float32, kernels, 1 thread': kernels,
  'float32, kernels, 2 threads': { ...kernels, threads: 2 },
}

/** That the kernels computed where they should: nothing else hands moments on. */
export function assertKernelsRan({ normalising, handed, answered }: Steered, { byKernel }: Manner): void {
  const least = byKernel ? normalising - answered : 0
  assert.ok(handed >= least, `kernels handed moments on to ${handed} of ${normalising} calls`)
  if (byKernel) assert.ok(handed > 0)
  else assert.equal(handed, 0, 'kernels ran')
}

/**
 * Holds a search to golden values in everything, along their branches.
 * @returns how many of its calls were made to follow them
 */
export function holdAlong(golden: Golden, branches: readonly Branch[], manner: Manner): string {
  const course = new Steered(branches, manner.byKernel)
  const { ran } = runsIn(() => holdToGolden(golden, manner, course))
  assertKernelsRan(course, manner)
  if (manner.byKernel)
    for (const kernel of ['fan_out', 'separable', 'mix', 'relu_pointwise'])
      assert.ok(ran.includes(`${kernel}/${instructionSets().used}`), `${kernel} did not run: ${ran.join()}`)
  const { calls, answered, kinks, furthest } = course
  // what is computed in place of the search's own operators says nothing of them
  assert.ok(answered <= calls / 50, `${answered} of ${calls} calls were answered in its place`)
  return `${kinks} kinks decided as the golden values have them, at most ${furthest.toExponential(1)} from theirs, in ${answered} of ${calls} calls`
}
