/** Latency tables as JSON files: what the candidates of a space cost in time, on which machine and at which size of network. */
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { checkGiven, checkText, firstProblem } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { formatJson, makeFolder, readJson, writeFileAtomic } from '../runs/files.ts'
import type { NetworkSize, SearchSpace } from '../spaces/space.ts'
import { commandLine } from '../words.ts'
import type { CostTable } from './cost-table.ts'

const name = z.string().min(1).max(200)
const milliseconds = z.number().nonnegative().max(1e9)
const length = z.int().positive()

/** Size of the networks that were timed. */
export const timedNetworkSchema = z.object({
  kind: z.enum(['cifar', 'imagenet']),
  channels: length.max(65_536),
  cells: length.max(10_000),
  classes: length.max(10_000_000),
  /** Height and width of the images, in pixels. */
  imageSide: length.max(65_536),
})

/** A network of the space, with the time of one run. */
export const timedArchitectureSchema = z.object({ architecture: z.string().max(100_000), ms: milliseconds })

/** What decides how long a network takes beside the network. */
export const timingSchema = z.object({
  /** Images in one run. */
  batch: length.max(65_536),
  threads: length.max(1024),
  runtime: z.object({ name, version: name }),
  machine: z.object({ cpu: name, cores: length.max(100_000), platform: name }),
})

/** Relative errors |predicted - measured| / measured over networks that the fit has not seen. */
export const heldOutErrorsSchema = z.object({
  networks: length.max(100_000),
  mean: z.number().nonnegative(),
  median: z.number().nonnegative(),
  max: z.number().nonnegative(),
})

const groupSchema = z.object({
  candidates: z.array(name).min(1).max(1000),
  /** [rows, candidates] in milliseconds. */
  costs: z.array(z.array(milliseconds).max(1000)).min(1).max(10_000),
  /** Nodes that cost more where nothing leads into them. */
  empty: z
    .array(
      z.object({
        rows: z.array(z.int().nonnegative()).min(1).max(1000),
        none: z.int().nonnegative(),
        cost: milliseconds,
      }),
    )
    .max(10_000)
    .default([]),
})

const fileSchema = z.object({
  kind: z.literal('ddsas latency table'),
  format: z.literal(1),
  space: name,
  network: timedNetworkSchema,
  ...timingSchema.shape,
  /** When it was fitted, ISO 8601. */
  date: z.iso.datetime(),
  errors: heldOutErrorsSchema,
  base: milliseconds,
  groups: z.record(name, groupSchema),
  /** Networks that the fit has seen, and those held out. */
  fitted: z.array(timedArchitectureSchema).max(100_000),
  heldOut: z.array(timedArchitectureSchema).max(100_000),
})

export type TimedNetwork = z.infer<typeof timedNetworkSchema>
export type TimedArchitecture = z.infer<typeof timedArchitectureSchema>
export type Timing = z.infer<typeof timingSchema>
export type HeldOutErrors = z.infer<typeof heldOutErrorsSchema>
type TableFile = z.infer<typeof fileSchema>

/** A table, with what it is of. */
export interface LatencyTable extends Timing {
  /** Name of the space. */
  readonly space: string
  readonly network: TimedNetwork
  readonly date: string
  readonly errors: HeldOutErrors
  /** Names of the candidates of each group, as columns of `table`. */
  readonly candidates: ReadonlyMap<string, readonly string[]>
  /** In milliseconds. */
  readonly table: CostTable
  readonly fitted: readonly TimedArchitecture[]
  readonly heldOut: readonly TimedArchitecture[]
}

const remedy = `make one with ${commandLine('latency measure')}`

/**
 * Reads a table that `writeLatencyTable` wrote, here or on another machine.
 * @throws {DdsasError} `input` where there is none, or it is truncated, too large, of another version, or has a cost that is
 * none.
 */
export function readLatencyTable(path: string): LatencyTable {
  checkText(path, 'readLatencyTable', 'path')
  const content = readJson(path)
  if (content === undefined) throw new DdsasError('input', `there is no latency table ${path}; ${remedy}`)
  const parsed = fileSchema.safeParse(content)
  if (!parsed.success)
    throw new DdsasError(
      'input',
      `${path} is no latency table: ${firstProblem(parsed.error, 'file')}; ${remedy}`,
    )
  const { kind: _, format: __, base, groups, ...about } = parsed.data
  checkColumns(path, groups)
  const entries = Object.entries(groups)
  const costs = new Map(entries.map(([group, { costs }]) => [group, costs]))
  return {
    ...about,
    candidates: new Map(entries.map(([group, { candidates }]) => [group, candidates])),
    table: {
      ...{ quantity: 'latency', unit: 'ms', base, costs },
      empty: entries.flatMap(([group, { empty }]) => empty.map((node) => ({ group, ...node }))),
    },
  }
}

function checkColumns(path: string, groups: TableFile['groups']): void {
  for (const [group, { candidates, costs, empty }] of Object.entries(groups)) {
    const node = empty.find(
      ({ rows, none }) => none >= candidates.length || Math.max(...rows) >= costs.length,
    )
    if (node !== undefined)
      throw new DdsasError(
        'input',
        `${path} is no latency table: '${group}' has no rows ${node.rows.join(', ')} with a candidate ${node.none}; ${remedy}`,
      )
    const row = costs.findIndex((columns) => columns.length !== candidates.length)
    if (row >= 0)
      throw new DdsasError(
        'input',
        `${path} is no latency table: row ${row} of '${group}' has ${costs[row].length} costs for ${candidates.length} candidates; ${remedy}`,
      )
  }
}

/**
 * Replaces the file at `path`; folders above it are made.
 * @throws {DdsasError} `disk` where it cannot be written.
 */
export function writeLatencyTable(path: string, content: LatencyTable): void {
  const { table, candidates, ...about } = content
  makeFolder(dirname(resolve(path)))
  const file = {
    kind: 'ddsas latency table',
    format: 1,
    ...about,
    base: table.base,
    groups: groupsOf(content),
  }
  writeFileAtomic(path, formatJson(file))
}

/** The groups of a table as plain data. */
export function groupsOf({ table, candidates }: LatencyTable): TableFile['groups'] {
  return Object.fromEntries(
    [...table.costs].map(([group, costs]) => {
      const nodes = (table.empty ?? []).filter((node) => node.group === group)
      const empty = nodes.map(({ rows, none, cost }) => ({ rows: [...rows], none, cost }))
      const own = { candidates: [...(candidates.get(group) ?? [])], costs: costs.map((row) => [...row]) }
      return [group, { ...own, empty }]
    }),
  )
}

const map = z.instanceof(Map)
const latencySchema = z.object({
  space: z.string(),
  network: timedNetworkSchema,
  candidates: map,
  table: z.object({ costs: map }),
})

/**
 * The costs of a table, for networks of a space at a size.
 * @throws {DdsasError} `input` naming the space, the size or the operations, where the table is of another.
 */
export function latencyCosts(
  latency: LatencyTable,
  wanted: SearchSpace,
  size: NetworkSize & { readonly imageSide: number },
  source: string,
): CostTable {
  checkGiven(latencySchema, latency, 'latencyCosts', 'table')
  checkGiven(z.object({ name: z.string(), choices: z.array(z.unknown()) }), wanted, 'latencyCosts', 'space')
  checkGiven(z.object({}), size, 'latencyCosts', 'size')
  checkText(source, 'latencyCosts', 'source')
  const { space, network, candidates, table } = latency
  const refuse = (what: string, has: unknown, needed: unknown) =>
    new DdsasError('input', `${source}: its ${what} ${has}, ${needed} needed; ${remedy} for this one`)
  if (space !== wanted.name) throw refuse('space is', space, `${wanted.name} is`)
  for (const key of ['kind', 'channels', 'cells', 'classes', 'imageSide'] as const)
    if (network[key] !== size[key]) throw refuse(`network's ${key} is`, network[key], `${size[key]} is`)
  for (const group of wanted.choices) {
    const known = candidates.get(group.name)
    if (known?.join() !== group.candidates.join())
      throw refuse(
        `operations of '${group.name}' are`,
        known?.join(', ') ?? 'missing',
        `${group.candidates.join(', ')} are`,
      )
    const rows = table.costs.get(group.name)?.length
    if (rows !== group.rows) throw refuse(`'${group.name}' has`, `${rows} rows`, `${group.rows} are`)
  }
  return table
}
