/** NAS-Bench-201 as a space: one kind of cell, an operation of five on each of its six edges, `none` among them. */
import { z } from 'zod'
import { onePerRow } from '../one-per-row.ts'
import type { ChoiceGroup, SearchSpace } from '../space.ts'
import { edges, formatArchitecture, nodes, operationNames, parseArchitecture } from './architecture.ts'
import type { OperationName } from './operations.ts'
import { networkOfWeights, networkProgram, supernetProgram } from './programs.ts'

/** The operation of each edge, edges into a node together: 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2. */
export interface Nasbench201Cell {
  readonly cell: readonly OperationName[]
}

const cell: ChoiceGroup = {
  name: 'cell',
  rows: edges.length,
  candidates: operationNames,
  none: operationNames.indexOf('none'),
  nodes: Array.from({ length: nodes - 1 }, (_, index) => {
    const rows = edges.flatMap(({ to }, row) => (to === index + 1 ? [row] : []))
    return { rows, keeps: rows.length }
  }),
  run: 'sampled',
}

/** `none` can be picked here: an edge may be left out. */
const { none: _, ...anyCandidate } = cell
const coding = onePerRow([anyCandidate])
const schema = z.object({ cell: z.array(z.enum(operationNames)) })

/** The search space of NAS-Bench-201: 15,625 architectures. `cells`: all searched ones, a third of them in each stage. */
export const nasbench201Space: SearchSpace<Nasbench201Cell> = {
  name: 'nasbench201',
  defaults: { channels: 16, cells: 15 },
  choices: [cell],
  partialChannels: true,
  supernet: (options) => supernetProgram(cell.name, options),
  network: ({ cell }, options) => networkProgram(cell, options),
  decode: (scores, available) => schema.parse(coding.decode(scores, available)),
  parts: coding.parts,
  encode: ({ cell }) => coding.encode({ cell }),
  distance: (a, b) => coding.distance({ cell: a.cell }, { cell: b.cell }),
  parse: (value, source) =>
    typeof value === 'string' && !/^\s*\{/.test(value)
      ? { cell: parseArchitecture(value, source) }
      : schema.parse(coding.parse(value, source)),
  format: ({ cell }) => formatArchitecture(cell),
  networkOf: networkOfWeights,
  indicators: ({ cell }) => ({
    skip_connect: cell.filter((operation) => operation === 'skip_connect').length,
  }),
}
