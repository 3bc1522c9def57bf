/** One operator's forward and its backward pass, timed apart: two contestants of which the second ends what the first began. */
import { call, detach, run, setRequiresGrad, type Tensor, tidy } from '../src/torch/index.ts'
import type { Contestant } from './measure.ts'

export interface Passes {
  readonly forward: Contestant
  /** Goes back through the graph of the last forward step, from a gradient that lies in memory as the result does. */
  readonly backward: Contestant
  dispose(): void
}

interface Graph {
  readonly leaves: readonly Tensor[]
  readonly result: Tensor
}

/**
 * `apply` computes a tensor of `inputs`; the gradients of all of them are taken. Each forward step has leaves of its own, so
 * that their gradients are new and nothing is added up. The two must take turns.
 */
export function passesOf(
  name: string,
  inputs: readonly Tensor[],
  apply: (leaves: readonly Tensor[]) => Tensor,
): Passes {
  let graph: Graph | undefined
  const upstream = tidy(() => call('aten::ones_like', apply(inputs)))
  const end = () => {
    for (const tensor of [...(graph?.leaves ?? []), graph?.result]) tensor?.dispose()
    graph = undefined
  }
  return {
    forward: {
      name: `${name}, forward`,
      step() {
        graph = tidy(() => {
          const leaves = inputs.map(detach)
          setRequiresGrad(leaves, true)
          return { leaves, result: apply(leaves) }
        })
      },
    },
    backward: {
      name: `${name}, backward`,
      step() {
        if (graph === undefined) throw new Error(`${name}: a backward pass without its forward pass`)
        run('aten::_backward', graph.result, graph.leaves, upstream, false, false)
        end()
      },
    },
    dispose() {
      end()
      upstream.dispose()
    },
  }
}
