/** Settings in general: a typed object checked by its schema, changed by `key=value`, and compared with another. */
import { z } from 'zod'
import { checkGiven, checkText, firstProblem } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import type { Precision } from '../nn/precision.ts'
import { deviceNames } from '../torch/index.ts'

/** Checks settings from outside. Throws DdsasError 'input' naming the first wrong one. */
export function parseSettings<Config>(schema: z.ZodType<Config>, value: unknown, source: string): Config {
  const parsed = schema.safeParse(value)
  if (!parsed.success)
    throw new DdsasError('input', `${source}: ${firstProblem(parsed.error, 'configuration')}`)
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

/** Parts of keys as version 0.1 called them. */
const renamed = new Map([
  ['weights', 'weightOptimizer'],
  ['architecture', 'archOptimizer'],
  ['rate', 'lr'],
  ['finalRate', 'minLr'],
  ['clip', 'gradClip'],
  ['side', 'imageSize'],
  ['profile', 'variant'],
])

/** The dotted key of a setting by the name it has now. */
export function currentKey(key: string): string {
  return key
    .split('.')
    .map((part) => renamed.get(part) ?? part)
    .join('.')
}

function setKey(config: Tree, assignment: string): void {
  const equals = assignment.indexOf('=')
  if (equals < 1) throw new DdsasError('input', `--set ${assignment}: write it as key=value`)
  const path = assignment.slice(0, equals).split('.')
  const last = path.at(-1) ?? ''
  let tree: unknown = config
  for (const key of path.slice(0, -1)) tree = isTree(tree) && Object.hasOwn(tree, key) ? tree[key] : undefined
  if (!isTree(tree) || !Object.hasOwn(tree, last) || isTree(tree[last])) {
    const known = [...flatten(config).keys()]
    const now = currentKey(path.join('.'))
    const remedy = known.includes(now) ? `it is now '${now}'` : `known are ${known.join(', ')}`
    throw new DdsasError('input', `--set ${path.join('.')}: there is no such setting; ${remedy}`)
  }
  tree[last] = parseValue(assignment.slice(equals + 1))
}

/** Settings with `key=value` assignments applied. Throws DdsasError 'input' for an unknown key or a wrong type. */
export function assignSettings<Config extends object>(
  schema: z.ZodType<Config>,
  config: Config,
  assignments: readonly string[],
): Config {
  checkGiven(z.array(z.string()), assignments, 'settings', 'assignments')
  checkGiven(z.record(z.string(), z.unknown()), config, 'settings', 'configuration')
  const changed: Tree = Object.fromEntries(Object.entries(structuredClone(config)))
  for (const assignment of assignments) setKey(changed, assignment)
  return parseSettings(schema, changed, '--set')
}

/** Settings that change no number of a run beyond rounding: it may be resumed with others. */
const bookkeeping = /^(checkpoint|memory|threads|device)(\.|$)/

/** Those settings of a run: what a resume goes on with where nothing else is asked for. */
export function bookkeepingOf(config: object): object {
  return Object.fromEntries(Object.entries(config).filter(([key]) => bookkeeping.test(key)))
}

const positive = z.number().int().positive()
const natural = z.number().int().nonnegative()

/** What every run has besides what makes its numbers. */
export const commonSettings = {
  epochs: positive,
  checkpoint: z.strictObject({
    /** Seconds between checkpoints within an epoch; each epoch ends with one. */
    seconds: z.number().positive(),
    /** Steps between checkpoints within an epoch; 0: by time alone. */
    steps: natural,
  }),
  seed: natural,
  /** Threads for one operator. */
  threads: positive.max(512),
  device: z.enum(deviceNames),
}

const share = z.number().min(0).max(1)

/** How images are normalised, of pixels scaled to 0..1: what `ddsas data stats` prints; null: by the data set's own. */
export const normalisationSettings = {
  /** Per channel: R, G, B. CIFAR has its own, image folders take ImageNet's. */
  mean: z.tuple([share, share, share]).nullable().default(null),
  std: z.tuple([share.positive(), share.positive(), share.positive()]).nullable().default(null),
}

/** Throws DdsasError 'device' for bfloat16 on a processor, unless a test asks for that path. */
export function checkPrecision(precision: Precision, device: string): void {
  if (precision === 'float32' || device !== 'cpu' || process.env.DDSAS_CPU_BFLOAT16 === '1') return
  throw new DdsasError(
    'device',
    `precision=${precision} has no vector kernels on a CPU, where a step takes many times as long: leave it out, or use --device cuda`,
  )
}

const commonSchema = z.object(commonSettings)
export type CommonConfig = Readonly<z.infer<typeof commonSchema>>

/** "seed is 1 in the run, not 2" for each setting in which two runs differ; `where`: what the first belongs to. */
export function describeDifferences(own: object, other: object, where: string): string[] {
  const others = flatten(other)
  return [...flatten(own)].flatMap(([key, value]) => {
    const [here, there] = [JSON.stringify(value), JSON.stringify(others.get(key))]
    return here === there || bookkeeping.test(key) ? [] : [`${key} is ${here} in ${where}, not ${there}`]
  })
}

/** The entry of a table of presets. Throws DdsasError 'input' listing the known ones. */
export function findPreset<Config>(presets: Readonly<Record<string, Config>>, name: string): Config {
  checkText(name, 'presets', 'name')
  if (Object.hasOwn(presets, name)) return presets[name]
  throw new DdsasError('input', `there is no preset '${name}'; known are ${Object.keys(presets).join(', ')}`)
}
