/** CUDA graphs, after torch.cuda.CUDAGraph: what is computed is recorded once and replayed without the host's work. */
import { native } from './native.ts'
import { guard } from './tensor.ts'

/** What was recorded. Its tensors lie where they lay: give it new inputs by copying into the old ones. */
export interface Graph {
  /** Kernels, copies and fills of one replay. */
  readonly launches: number
  replay(): void
  dispose(): void
}

/** Records what `body` computes, which must not wait for the device; nothing is computed before the first replay. */
export function recordGraph<Result>(body: () => Result): { graph: Graph; result: Result } {
  guard(() => native().beginGraph())
  let result: Result
  try {
    result = body()
  } catch (error) {
    abandon()
    throw error
  }
  const { graph, launches } = guard(() => native().endGraph())
  return {
    graph: {
      launches,
      replay: () => guard(() => native().replayGraph(graph)),
      dispose: () => guard(() => native().freeGraph(graph)),
    },
    result,
  }
}

/** Ends a recording that failed; what went wrong with it says the error of its body. */
function abandon(): void {
  try {
    native().freeGraph(native().endGraph().graph)
  } catch {}
}
