/** Which kernels of ours ran: a comparison with ATen's operators means nothing where those were compared with themselves. */
import assert from 'node:assert/strict'
import { instructionSets, kernelRuns } from '../../../src/torch/index.ts'

// threads that wait should not keep others from computing; read when the engine is loaded
process.env.GOMP_SPINCOUNT ??= '0'

const { used } = instructionSets()

/** Whether GPUs' code computes float32 here. */
export const onGrid = used === 'grid'

/** What computes a kernel that GPUs lack: there ATen does. */
export const vectors = (kernel: string) => `${kernel}/${onGrid ? 'aten' : used}`

/** What ran in `body`, by name and path, in order of the alphabet. */
export function runsIn<Result>(body: () => Result): { result: Result; ran: string[] } {
  const before = kernelRuns()
  const result = body()
  const ran = Object.entries(kernelRuns()).filter(([name, count]) => count > (before[name] ?? 0))
  return { result, ran: ran.map(([name]) => name).sort() }
}

/** Runs `body` and asserts that each kernel named ran in it, by the path in use here or that given, as `mix/aten`, alone. */
export function assertRan<Result>(kernels: readonly string[], what: string, body: () => Result): Result {
  const { result, ran } = runsIn(body)
  const wanted = kernels.map((kernel) => (kernel.includes('/') ? kernel : `${kernel}/${used}`))
  const names = new Set(wanted.map((kernel) => kernel.split('/')[0]))
  const own = ran.filter((kernel) => names.has(kernel.split('/')[0]))
  assert.deepEqual(own, [...new Set(wanted)].sort(), `kernels of ${what}`)
  return result
}
