/** Settings in general: a typed object checked by its schema, changed by a file or by `key=value`, compared with another. */
import { z } from 'zod'
import { checkGiven, checkText, firstProblem } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { commandLine } from '../words.ts'

/** Checks settings from outside. Throws DdsasError 'input' naming the first wrong one. */
export function parseSettings<Config>(schema: z.ZodType<Config>, value: unknown, source: string): Config {
  const parsed = schema.safeParse(value)
  if (!parsed.success)
    throw new DdsasError('input', `${source}: ${firstProblem(parsed.error, 'configuration')}`)
  return parsed.data
}

type Tree = { readonly [key: string]: unknown }

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function treeOf(value: object): Tree {
  return Object.fromEntries(Object.entries(value))
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

/** `key=value` as a tree: `a.b=1` is { a: { b: 1 } }. */
function assignedTree(assignment: string): Tree {
  const equals = assignment.indexOf('=')
  if (equals < 1) throw new DdsasError('input', `--set ${assignment}: write it as key=value`)
  const [first = '', ...below] = assignment.slice(0, equals).split('.')
  const value = parseValue(assignment.slice(equals + 1))
  return { [first]: below.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) }
}

/** `given` laid over `config`, group by group; `known`: all dotted keys. Groups are as deep as `config` is, whatever is given. */
function overlay(config: Tree, given: Tree, source: string, known: readonly string[], prefix = ''): Tree {
  const changed: Record<string, unknown> = { ...config }
  for (const [key, value] of Object.entries(given)) {
    const path = prefix + key
    if (!Object.hasOwn(config, key))
      throw new DdsasError('input', `${source}: ${unknownSetting(path, value, known)}`)
    const old = config[key]
    if (!isTree(old)) changed[key] = value
    else if (isTree(value)) changed[key] = overlay(old, value, source, known, `${path}.`)
    else
      throw new DdsasError(
        'input',
        `${source}: ${path} is a group of settings: ${Object.keys(old).join(', ')}`,
      )
  }
  return changed
}

/** Settings with others, nested and some or all of them, in their place. Throws DdsasError 'input' as `assignSettings`. */
export function overlaySettings<Config extends object>(
  schema: z.ZodType<Config>,
  config: Config,
  given: object,
  source: string,
): Config {
  const known = [...flatten(config).keys()]
  return parseSettings(schema, overlay(treeOf(config), treeOf(given), source, known), source)
}

/**
 * Settings with `key=value` assignments applied.
 * @throws {DdsasError} `input` for an unknown key, naming the nearest, or a wrong type.
 */
export function assignSettings<Config extends object>(
  schema: z.ZodType<Config>,
  config: Config,
  assignments: readonly string[],
): Config {
  checkGiven(z.array(z.string()), assignments, 'settings', 'assignments')
  const own = parseSettings(schema, config, 'settings')
  const known = [...flatten(own).keys()]
  const changed = assignments.reduce<Tree>(
    (tree, assignment) => overlay(tree, assignedTree(assignment), '--set', known),
    treeOf(own),
  )
  return parseSettings(schema, changed, '--set')
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
    .map((word) => renamed.get(word) ?? word)
    .join('.')
}

/** Longer than any key: what is given may be of any length. */
const longestKey = 60

/** "there is no setting 'data.bach'; the nearest is 'data.batch' …": `key` is unknown, or the group that holds an unknown one. */
function unknownSetting(key: string, value: unknown, known: readonly string[]): string {
  // settings lie three deep at most
  let [full, inner] = [key, value]
  for (let depth = 0; depth < 2 && isTree(inner); depth++) {
    const [first] = Object.keys(inner)
    if (first === undefined) break
    full = `${full}.${first}`
    inner = inner[first]
  }
  const name = full.length > longestKey ? `${full.slice(0, longestKey)}…` : full
  return `there is no setting '${name}'; ${remedyFor(name, known)}`
}

function remedyFor(name: string, known: readonly string[]): string {
  const now = currentKey(name)
  if (!known.includes(now))
    return `the nearest is '${nearest(now, known)}', and all are listed by: ${commandLine('config keys')}`
  return now === name ? 'write it nested, as config.json of a run has it' : `it is now '${now}'`
}

/** The key that takes the fewest changes of letters to become, as a whole or in its last word alone. */
function nearest(key: string, known: readonly string[]): string {
  const last = (dotted: string) => dotted.slice(dotted.lastIndexOf('.') + 1)
  const changes = (other: string) => Math.min(edits(key, other), 1 + edits(last(key), last(other)))
  return known.reduce((best, other) => (changes(other) < changes(best) ? other : best))
}

/** Levenshtein's distance. */
function edits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1]
    for (let column = 0; column < to.length; column++)
      next.push(Math.min(next[column] + 1, row[column + 1] + 1, row[column] + Number(letter !== to[column])))
    row = next
  }
  return row[to.length]
}

/** Settings that change no number of a run beyond rounding: it may be resumed with others. */
const bookkeeping = /^(checkpoint|memory|threads|device)(\.|$)/

/** Whether a dotted key is one of them: the ranks of a run may differ in it. */
export function isBookkeeping(key: string): boolean {
  return bookkeeping.test(key)
}

/** Those settings of a run: what a resume goes on with where nothing else is asked for. */
export function bookkeepingOf(config: object): object {
  return Object.fromEntries(Object.entries(config).filter(([key]) => bookkeeping.test(key)))
}

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
