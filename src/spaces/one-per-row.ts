/** Architectures that take one candidate for each row: `{ cell: ['conv_3x3', 'skip_connect'] }`; what most spaces need of them. */
import { z } from 'zod'
import { checkGiven, firstProblem, parseJson } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import type { Alternative, ChoiceGroup, SearchSpace } from './space.ts'

/** The name of the candidate picked in each row, by group. */
export type RowArchitecture = Readonly<Record<string, readonly string[]>>

type Coding = Pick<SearchSpace<RowArchitecture>, 'decode' | 'encode' | 'parse' | 'format' | 'distance'> & {
  readonly parts: readonly (readonly Alternative[])[]
}

const choicesSchema = z
  .array(z.object({ name: z.string(), rows: z.int().positive(), candidates: z.array(z.string()) }))
  .nonempty()

function schemaOf(choices: readonly ChoiceGroup[]) {
  const names = ({ candidates, none }: ChoiceGroup) => candidates.filter((_, column) => column !== none)
  return z.strictObject(
    Object.fromEntries(
      choices.map((group) => [group.name, z.array(z.enum(names(group))).length(group.rows)]),
    ),
  )
}

/** The best candidate of a row that may be picked; the first of equals. */
export function bestColumn(
  row: readonly number[],
  available: readonly boolean[] | undefined,
  none?: number,
): number {
  return row.reduce(
    (found, value, column) =>
      column !== none && (available?.[column] ?? true) && (found < 0 || value > row[found]) ? column : found,
    -1,
  )
}

/** How architectures of one candidate for each row are decided, written, read and compared. */
export function onePerRow(choices: readonly ChoiceGroup[]): Coding {
  checkGiven(choicesSchema, choices, 'onePerRow', 'choices')
  const schema = schemaOf(choices)
  const rowsOf = (architecture: RowArchitecture) =>
    choices.flatMap(({ name }) => architecture[name].map((candidate, row) => `${name} ${row} ${candidate}`))
  const alternatives = ({ name, candidates, none }: ChoiceGroup, row: number) =>
    candidates.flatMap((_, column) => (column === none ? [] : [[{ group: name, row, column }]]))
  return {
    parts: choices.flatMap((group) =>
      Array.from({ length: group.rows }, (_, row) => alternatives(group, row)),
    ),
    decode: (scores, available) =>
      Object.fromEntries(
        choices.map(({ name, candidates, none }) => {
          const rows = scores.get(name) ?? []
          const mask = available?.get(name)
          return [name, rows.map((row, index) => candidates[bestColumn(row, mask?.[index], none)])]
        }),
      ),
    encode: (architecture) =>
      new Map(
        choices.map(({ name, candidates }) => [
          name,
          architecture[name].map((candidate) => [candidates.indexOf(candidate)]),
        ]),
      ),
    parse: (value, source) => {
      const parsed = schema.safeParse(typeof value === 'string' ? parseJson(value) : value)
      if (parsed.success) return parsed.data
      throw new DdsasError('input', `architecture ${source}: ${firstProblem(parsed.error, 'value')}`)
    },
    format: (architecture) => JSON.stringify(architecture),
    distance: (a, b) => {
      const [first, second] = [rowsOf(a), new Set(rowsOf(b))]
      return 1 - first.filter((row) => second.has(row)).length / first.length
    },
  }
}
