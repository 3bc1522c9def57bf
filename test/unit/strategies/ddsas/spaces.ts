/** Random small spaces for the properties of the search: masks in which each edge keeps an operation other than `none`. */
import fc from 'fast-check'

export interface SmallSpace {
  readonly edges: number
  readonly operations: number
  /** Column of `none`. */
  readonly none: number
  readonly available: readonly (readonly boolean[])[]
}

export const smallSpaces: fc.Arbitrary<SmallSpace> = fc
  .record({ edges: fc.integer({ min: 1, max: 9 }), operations: fc.integer({ min: 2, max: 8 }) })
  .chain(({ edges, operations }) =>
    fc.nat(operations - 1).chain((none) => {
      const row = fc
        .array(fc.boolean(), { minLength: operations, maxLength: operations })
        .filter((present) => present.some((here, k) => here && k !== none))
      return fc
        .array(row, { minLength: edges, maxLength: edges })
        .map((available) => ({ edges, operations, none, available }))
    }),
  )

/** A value for each operation of each edge. */
export function matrices<Value>(
  { edges, operations }: { edges: number; operations: number },
  value: fc.Arbitrary<Value>,
): fc.Arbitrary<Value[][]> {
  const row = fc.array(value, { minLength: operations, maxLength: operations })
  return fc.array(row, { minLength: edges, maxLength: edges })
}

/** The (edge, operation) pairs of a mask. */
export function members(mask: readonly (readonly boolean[])[]): { edge: number; k: number }[] {
  return mask.flatMap((row, edge) => row.flatMap((here, k) => (here ? [{ edge, k }] : [])))
}
