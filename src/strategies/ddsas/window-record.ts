/** What DDSAS decided in one window, as a line of `windows.jsonl`: why it sampled a subspace, and what came of it. */
import { z } from 'zod'
import { firstProblem } from '../../checks.ts'
import { DdsasError } from '../../errors.ts'
import type { EdgeMask, EdgeMatrix } from './mixture.ts'
import { explorationBonus, meanScores } from './ucb.ts'

const count = z.int().nonnegative()

/** Matrices lie row by row; of floats as base64 of little-endian float32, which is exact and shorter than five digits are. */
const openedGroup = z.object({
  rows: z.int().positive(),
  candidates: z.int().positive(),
  alpha: z.string(),
  zeta: z.string(),
  pulls: z.array(count),
  mask: z.string(),
  mean: z.string().optional(),
})

const windowMemory = z.object({ allowed: count, predicted: z.number().nonnegative() })

/** What is known of a window when it opens: a checkpoint keeps it until the window closes. */
export const windowOpening = z.object({
  epoch: count,
  opened: count,
  exploration: z.number().nonnegative(),
  totalPulls: count,
  groups: z.record(z.string(), openedGroup),
  memory: windowMemory.optional(),
})

const lineSchema = windowOpening.extend({
  closed: count,
  credited: z.boolean(),
  last: z.boolean(),
  groups: z.record(z.string(), openedGroup.extend({ saliency: z.string() })),
  architecture: z.unknown().refine((value): boolean => value !== undefined, 'is missing'),
})

export type WindowOpening = z.infer<typeof windowOpening>
/** Where a subspace was filled up to memory, bytes of tensors: the most it might take, and what it was foretold to. */
export type WindowMemory = Readonly<z.infer<typeof windowMemory>>
export type WindowLine = z.infer<typeof lineSchema>

/** One group of decisions; every matrix is [rows x candidates]. */
export interface OpenedGroup {
  /** Of the moment when the window was sampled, as all here. */
  readonly alpha: EdgeMatrix
  readonly zeta: EdgeMatrix
  /** How often each was sampled before, with the prior that the search began with. */
  readonly pulls: EdgeMatrix
  /** The subspace. */
  readonly mask: EdgeMask
  /** What the space held. */
  readonly available: EdgeMask
  /** First part of the score, where that is not sigmoid(zeta). */
  readonly mean?: EdgeMatrix | undefined
}

export interface WindowGroup extends OpenedGroup {
  /** First part of the score: sigmoid(zeta), unless the sizes of gradients say it. */
  readonly mean: EdgeMatrix
  /** Second part: what is added for having been sampled seldom; infinite for never. */
  readonly bonus: EdgeMatrix
  /** After the window was credited. */
  readonly saliency: EdgeMatrix
}

/** A window of a search, from the sampling of its subspace to its end. */
export interface SearchWindow {
  /** In which it opened, from 0. */
  readonly epoch: number
  /** Steps done when it opened and when it closed, since the search began. */
  readonly opened: number
  readonly closed: number
  /** Whether its weights went into saliency. */
  readonly credited: boolean
  /** Whether the search ended with it. */
  readonly last: boolean
  /** c of the bonus. */
  readonly exploration: number
  /** T of the bonus: samplings before this one, with the prior. */
  readonly totalPulls: number
  readonly groups: Readonly<Record<string, WindowGroup>>
  readonly memory?: WindowMemory | undefined
  /** What the search would have picked after the window, as its space writes architectures. */
  readonly architecture: unknown
}

/** What a record begins with: where the window opens, and the constants of its scores. */
type OpeningFacts = Pick<SearchWindow, 'epoch' | 'opened' | 'exploration' | 'totalPulls'>

/** The first part of a record, made when a window was sampled. */
export function openedWindow(
  { epoch, opened, exploration, totalPulls }: OpeningFacts,
  groups: Readonly<Record<string, OpenedGroup>>,
  memory?: WindowMemory,
): WindowOpening {
  const encoded = Object.entries(groups).map(([name, group]) => [name, encodeGroup(group)] as const)
  const opening = { epoch, opened, exploration, totalPulls, groups: Object.fromEntries(encoded) }
  return memory === undefined ? opening : { ...opening, memory }
}

/** The whole record, made when the window has ended; `saliency` of each group. */
export function endedWindow(
  opening: WindowOpening,
  end: Pick<SearchWindow, 'closed' | 'credited' | 'last' | 'architecture'>,
  saliency: Readonly<Record<string, EdgeMatrix>>,
): WindowLine {
  const { epoch, opened, exploration, totalPulls, memory } = opening
  const { closed, credited, last, architecture } = end
  const groups = Object.entries(opening.groups).map(
    ([name, group]) => [name, { ...group, saliency: encodeFloats(saliency[name]) }] as const,
  )
  return {
    ...{ epoch, opened, closed, credited, last, exploration, totalPulls },
    groups: Object.fromEntries(groups),
    ...(memory === undefined ? {} : { memory }),
    architecture,
  }
}

/** A line of `windows.jsonl`. Throws DdsasError 'data' naming `where` and the first thing wrong. */
export function parseWindow(line: unknown, where: string): SearchWindow {
  const refuse = (problem: string): never => {
    throw new DdsasError('data', `${where} is no window of a search: ${problem}; restore the file`)
  }
  const parsed = lineSchema.safeParse(line)
  if (!parsed.success) return refuse(firstProblem(parsed.error, 'line'))
  const { exploration, totalPulls, ...rest } = parsed.data
  const groups = Object.entries(rest.groups).map(([name, encoded]) => {
    const group = decodeGroup(encoded, (key) =>
      refuse(`groups.${name}.${key} is not of its rows and candidates`),
    )
    const { mean = meanScores(group.zeta) } = group
    return [name, { ...group, mean, bonus: explorationBonus(group.pulls, totalPulls, exploration) }] as const
  })
  return { ...rest, exploration, totalPulls, groups: Object.fromEntries(groups) }
}

type EncodedGroup = z.infer<typeof openedGroup>

function encodeGroup({ alpha, zeta, pulls, mask, available, mean }: OpenedGroup): EncodedGroup {
  const places = mask.flatMap((row, edge) =>
    row.map((sampled, k) => (sampled ? '1' : available[edge][k] ? '0' : '-')),
  )
  return {
    rows: mask.length,
    candidates: mask[0].length,
    alpha: encodeFloats(alpha),
    zeta: encodeFloats(zeta),
    pulls: pulls.flat(),
    mask: places.join(''),
    ...(mean === undefined ? {} : { mean: encodeFloats(mean) }),
  }
}

function encodeFloats(matrix: EdgeMatrix): string {
  const values = matrix.flat()
  const bytes = Buffer.alloc(4 * values.length)
  for (const [i, value] of values.entries()) bytes.writeFloatLE(value, 4 * i)
  return bytes.toString('base64')
}

/** `refuse` is told the key of what does not fit. */
function decodeGroup(
  { rows, candidates, ...encoded }: EncodedGroup & { readonly saliency: string },
  refuse: (key: string) => never,
): OpenedGroup & Pick<WindowGroup, 'saliency'> {
  const size = rows * candidates
  const inRows = <Value>(values: readonly Value[]) =>
    Array.from({ length: rows }, (_, row) => values.slice(row * candidates, (row + 1) * candidates))
  const floats = (key: 'alpha' | 'zeta' | 'saliency' | 'mean', text: string) =>
    inRows(decodeFloats(text, size) ?? refuse(key))
  const { pulls, mean } = encoded
  if (pulls.length !== size) refuse('pulls')
  if (encoded.mask.length !== size || /[^01-]/.test(encoded.mask)) refuse('mask')
  const places = [...encoded.mask]
  return {
    alpha: floats('alpha', encoded.alpha),
    zeta: floats('zeta', encoded.zeta),
    pulls: inRows(pulls),
    saliency: floats('saliency', encoded.saliency),
    mask: inRows(places.map((place) => place === '1')),
    available: inRows(places.map((place) => place !== '-')),
    ...(mean === undefined ? {} : { mean: floats('mean', mean) }),
  }
}

/** So many finite numbers, or undefined where the text holds anything else. */
function decodeFloats(text: string, size: number): number[] | undefined {
  const bytes = Buffer.from(text, 'base64')
  // what is no base64 is skipped by the decoder
  if (bytes.length !== 4 * size || bytes.toString('base64') !== text) return undefined
  const values = Array.from({ length: size }, (_, i) => bytes.readFloatLE(4 * i))
  return values.every(Number.isFinite) ? values : undefined
}
