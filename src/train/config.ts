/** The settings of a search: one typed object, checked once; `--set key=value` changes a value by its dotted key. */
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import { profiles } from '../strategies/ddsas.ts'
import { deviceNames } from '../torch/index.ts'

const positive = z.number().int().positive()
const natural = z.number().int().nonnegative()
const rate = z.number().nonnegative()
/** Pixels around or within an image. */
const pixels = natural.max(1024)

const spaceChange = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('shrink'), count: positive }),
  z.strictObject({ kind: z.literal('expand'), from: natural, to: positive }),
])

/** Settings of DDSAS; see `strategies/ddsas.ts`. */
const ddsasSchema = z.strictObject({
  profile: z.enum(Object.keys(profiles) as (keyof typeof profiles)[]),
  /** L: operations of a subspace, over all edges of a cell type. */
  subspace: positive,
  /** M: steps in a subspace. */
  window: positive,
  mixture: z.enum(['simple', 'joint']),
  /** What happens to the space at the start of which epoch. */
  changes: z.array(z.strictObject({ epoch: natural, change: spaceChange })),
})

export const searchConfigSchema = z.strictObject({
  dataset: z.enum(['cifar10', 'cifar100']),
  data: z.strictObject({
    /** How many of the training images to use, drawn with the seed; 0: all. */
    images: natural,
    batch: positive,
    /** Zeros around an image before it is cropped. */
    padding: pixels,
    flip: z.boolean(),
    /** Side of the square cut out; 0: none. */
    cutout: pixels,
  }),
  network: z.strictObject({
    /** C: channels of a node in the first cells; even, as reductions split it in halves. */
    channels: positive.multipleOf(2).max(1024),
    cells: z.number().int().min(3).max(200),
  }),
  strategy: z.literal('ddsas'),
  ddsas: ddsasSchema,
  /** SGD on the weights, with a cosine schedule from `rate` to `finalRate`. */
  weights: z.strictObject({
    rate,
    finalRate: rate,
    momentum: z.number().min(0).lt(1),
    weightDecay: rate,
    /** Largest norm of all gradients together. */
    clip: z.number().positive(),
  }),
  /** Adam on alpha and zeta. */
  architecture: z.strictObject({
    rate,
    betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]),
    weightDecay: rate,
  }),
  epochs: positive,
  evaluation: z.strictObject({
    /** How many images of the validation half to measure accuracy on after each epoch; 0: all. */
    images: natural,
    batch: positive,
  }),
  checkpoint: z.strictObject({
    /** Seconds between checkpoints within an epoch; each epoch ends with one. */
    seconds: z.number().positive(),
    /** Steps between checkpoints within an epoch; 0: by time alone. */
    steps: natural,
  }),
  seed: natural,
  /** Threads for one operator; far more than there are processors, and the process ends for want of memory. */
  threads: positive.max(512),
  device: z.enum(deviceNames),
})

export type SearchConfig = z.infer<typeof searchConfigSchema>

/** "weights.rate: expected number, received string": the first thing wrong with a configuration. */
function firstProblem(error: z.ZodError): string {
  const [issue] = error.issues
  const key = [...issue.path, ...(issue.code === 'unrecognized_keys' ? issue.keys : [])].join('.')
  const message = issue.code === 'unrecognized_keys' ? 'there is no such setting' : issue.message
  return `${key || 'configuration'}: ${message.replace(/^Invalid input: /, '')}`
}

/** Checks a configuration from outside. Throws DdsasError 'input' naming the first wrong setting. */
export function parseSearchConfig(value: unknown, source: string): SearchConfig {
  const parsed = searchConfigSchema.safeParse(value)
  if (!parsed.success) throw new DdsasError('input', `${source}: ${firstProblem(parsed.error)}`)
  return parsed.data
}

type Tree = { [key: string]: unknown }

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Text of the command line as a value: JSON where it is JSON, else the text itself. */
function parseValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Every dotted key of a configuration with its value. */
export function flatten(value: unknown, prefix = ''): Map<string, unknown> {
  if (!isTree(value)) return new Map([[prefix, value]])
  const entries = Object.entries(value).flatMap(([key, item]) => [
    ...flatten(item, prefix === '' ? key : `${prefix}.${key}`),
  ])
  return new Map(entries)
}

function setKey(config: Tree, assignment: string): void {
  const equals = assignment.indexOf('=')
  if (equals < 1) throw new DdsasError('input', `--set ${assignment}: write it as key=value`)
  const path = assignment.slice(0, equals).split('.')
  const last = path.at(-1) ?? ''
  let tree: unknown = config
  for (const key of path.slice(0, -1)) tree = isTree(tree) && Object.hasOwn(tree, key) ? tree[key] : undefined
  if (!isTree(tree) || !Object.hasOwn(tree, last) || isTree(tree[last])) {
    const known = [...flatten(config).keys()].join(', ')
    throw new DdsasError('input', `--set ${path.join('.')}: there is no such setting; known are ${known}`)
  }
  tree[last] = parseValue(assignment.slice(equals + 1))
}

/** A configuration with `key=value` assignments applied. Throws DdsasError 'input' for an unknown key or a wrong type. */
export function applySettings(config: SearchConfig, assignments: readonly string[]): SearchConfig {
  const changed: Tree = structuredClone(config)
  for (const assignment of assignments) setKey(changed, assignment)
  return parseSearchConfig(changed, '--set')
}

/** Settings that change no number of a search beyond rounding: a run may be resumed with others. */
const bookkeeping = /^(checkpoint\.|threads$|device$)/

/** "seed is 1 in the run, not 2" for each setting in which two searches differ; `where`: what the first belongs to. */
export function describeDifferences(own: SearchConfig, other: SearchConfig, where: string): string[] {
  const others = flatten(other)
  return [...flatten(own)].flatMap(([key, value]) => {
    const [here, there] = [JSON.stringify(value), JSON.stringify(others.get(key))]
    return here === there || bookkeeping.test(key) ? [] : [`${key} is ${here} in ${where}, not ${there}`]
  })
}
