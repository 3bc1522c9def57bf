/** DARTS's space, and others of its build: two kinds of cells, two edges into each node, any operations on them. */
import { z } from 'zod'
import { checkGiven } from '../../checks.ts'
import { type ChoiceGroup, type SearchSpace, stemKinds } from '../space.ts'
import { chooseEdges } from './decode.ts'
import { type CellType, cellTypes, cosineDistance, type Genotype, skipConnections } from './genotype.ts'
import { formatGenotype, parseGenotype, parseGenotypeText } from './genotype-file.ts'
import { networkOfWeights } from './network-of-weights.ts'
import { cellParts } from './parts.ts'
import { networkProgram, supernetProgram } from './programs.ts'
import { usualSizes } from './published-genotypes.ts'
import { type CellSpace, darts, edgeCount, edgeIndex } from './space.ts'

const spaceSchema = z.object({
  name: z.string(),
  operations: z.record(z.string(), z.function()),
  nodes: z.int().positive(),
})

/** The space of cells: `cellSpace({ ...darts, name: 'mine', operations: { ...darts.operations, conv_3x3 } })`. */
export function cellSpace(space: CellSpace): SearchSpace<Genotype> {
  checkGiven(spaceSchema, space, 'cellSpace', 'space')
  const candidates = Object.keys(space.operations)
  const none = candidates.indexOf('none')
  const operations = candidates.filter((name) => name !== 'none')
  const rows = edgeCount(space)
  const nodes = Array.from({ length: space.nodes }, (_, node) => ({
    rows: Array.from({ length: node + 2 }, (_, input) => edgeIndex(node, input)),
    keeps: 2,
  }))
  const choices = cellTypes.map(
    (name): ChoiceGroup => ({ name, rows, candidates, nodes, run: 'sampled', ...(none < 0 ? {} : { none }) }),
  )
  const everything = Array.from({ length: rows }, () => candidates.map(() => true))
  const concat = Array.from({ length: space.nodes }, (_, node) => node + 2)
  return {
    name: space.name,
    defaults: { channels: 16, cells: 8 },
    stems: stemKinds,
    partialChannels: true,
    choices,
    supernet: (options) => supernetProgram(space, options),
    network: (genotype, options) => networkProgram(genotype, options, space),
    decode: (scores, available) => {
      const edges = (cell: CellType) =>
        chooseEdges(scores.get(cell) ?? [], available?.get(cell) ?? everything, none)
          .flat()
          .map(({ input, operation }) => [candidates[operation], input] as const)
      return {
        normal: edges('normal'),
        normal_concat: concat,
        reduce: edges('reduce'),
        reduce_concat: concat,
      }
    },
    parts: cellTypes.flatMap((cell) => cellParts(cell, space)),
    encode: (genotype) =>
      new Map(
        cellTypes.map((cell) => {
          const picks: number[][] = Array.from({ length: rows }, () => [])
          for (const [index, [operation, input]] of genotype[cell].entries())
            picks[edgeIndex(Math.floor(index / 2), input)].push(candidates.indexOf(operation))
          return [cell, picks]
        }),
      ),
    parse: (value, source) =>
      typeof value === 'string'
        ? parseGenotypeText(value, source, operations)
        : parseGenotype(value, source, operations),
    format: formatGenotype,
    usualNetwork: (kind) => usualSizes[kind],
    networkOf: networkOfWeights,
    distance: cosineDistance,
    indicators: (genotype) => ({ skip_connect: skipConnections(genotype, 'normal') }),
  }
}

/** The space of the DARTS papers, which DDSAS searches on CIFAR and ImageNet. */
export const dartsSpace = cellSpace(darts)
