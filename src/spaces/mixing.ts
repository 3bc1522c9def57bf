/** What a strategy hands to the supernet for one forward pass: which operations run and how much each weighs. */
import { indexSelect, reshape, slice, Tensor, tidy, to } from '../torch/index.ts'

/** The mixed operations of one cell type (Eq. 7). */
export interface Mixing {
  /** Weight of each operation on each edge, float32 [edges, operations]; zero for those that do not run. */
  readonly weights: Tensor
  /** For each edge the columns of the operations that run: sampled, and not `none`. */
  readonly active: readonly (readonly number[])[]
  /** `activeIndex` of `active`, where one keeps it from pass to pass: a recorded step cannot bring it to the device. */
  readonly index?: Tensor
}

/** Positions of the active operations among all weights of a matrix with so many columns: int64 [active], on a device. */
export function activeIndex(active: Mixing['active'], columns: number, device: string): Tensor {
  const positions = active.flatMap((row, edge) => row.map((k) => BigInt(edge * columns + k)))
  return tidy(() => to(Tensor.from(BigInt64Array.from(positions), [positions.length]), { device }))
}

/** The active operations of a mixing with their weights, node by node. */
export interface NodeTerms {
  /** (input, operation) of each term, in the order of `weights`. */
  readonly terms: readonly { readonly input: number; readonly operation: number }[]
  /** float32 [terms]. */
  readonly weights: Tensor
}

function termsOf(active: Mixing['active'], nodes: number): NodeTerms['terms'][] {
  let edge = 0
  return Array.from({ length: nodes }, (_, node) =>
    Array.from({ length: node + 2 }, (_, input) => ({ input, columns: active[edge++] })).flatMap(
      ({ input, columns }) => columns.map((operation) => ({ input, operation })),
    ),
  )
}

/** Splits a mixing into the terms of each node's sum; done once a forward pass, for all cells of a type. */
export function nodeTerms(mixing: Mixing, nodes: number): NodeTerms[] {
  const { weights: matrix, active } = mixing
  const terms = termsOf(active, nodes)
  return tidy(() => {
    const index = mixing.index ?? activeIndex(active, matrix.shape[1], matrix.device)
    const flat = indexSelect(reshape(matrix, [-1]), 0, index)
    let start = 0
    return terms.map((list) => {
      const weights = slice(flat, 0, start, start + list.length)
      start += list.length
      return { terms: list, weights }
    })
  })
}
