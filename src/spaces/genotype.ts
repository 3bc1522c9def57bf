/**
 * A genotype: the discrete cell a search ends with, as plain data in DARTS's form. Nothing else passes between
 * the stages (search, retraining, export, drawing).
 */

/** An incoming edge of a node: the operation's published name and the index of the node it reads. */
export type GenotypeEdge = readonly [operation: string, input: number]

/**
 * Two edges for each intermediate node, in node order. Inputs 0 and 1 are the outputs of the two previous cells
 * (c_{k-2}, c_{k-1}); input n + 2 is intermediate node n. `*_concat` lists the nodes whose outputs are concatenated.
 */
export interface Genotype {
  readonly normal: readonly GenotypeEdge[]
  readonly normal_concat: readonly number[]
  readonly reduce: readonly GenotypeEdge[]
  readonly reduce_concat: readonly number[]
}

export type CellType = 'normal' | 'reduce'

export const cellTypes: readonly CellType[] = ['normal', 'reduce']
