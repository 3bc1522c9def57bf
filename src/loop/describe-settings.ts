/** What settings mean, read from their schema: a row for each dotted key, and a JSON Schema for files of settings. */
import { z } from 'zod'

type Node = z.core.JSONSchema.JSONSchema

export interface SettingDescription {
  readonly key: string
  readonly meaning: string
  /** Of its number, '-' where that counts nothing; empty where it is no number. */
  readonly unit: string
  /** What it may be: `1 … 512`, `simple | joint`. */
  readonly range: string
}

/** Every setting of a schema, in its order. */
export function describeSettings(schema: z.ZodType): SettingDescription[] {
  return rowsOf(z.toJSONSchema(schema, { io: 'input' }), '')
}

/** For files of settings, of which each may be left out. */
export function settingsJsonSchema(schema: z.ZodType, title: string): object {
  return { title, ...withoutRequired(z.toJSONSchema(schema, { io: 'input' })) }
}

function rowsOf(node: Node, key: string): SettingDescription[] {
  const below = groupOf(node)
  if (below) return below.flatMap(([name, inner]) => rowsOf(inner, key === '' ? name : `${key}.${name}`))
  const { description = '', unit = '' } = node
  return [{ key, meaning: description, unit: String(unit), range: rangeOf(node) }]
}

function withoutRequired({ required: _, ...node }: Node): Node {
  if (node.oneOf) {
    // without what tells them apart several may fit
    const { oneOf, ...rest } = node
    return { ...rest, anyOf: oneOf.map((branch) => withoutRequired(nodeOf(branch))) }
  }
  const below = groupOf(node)?.map(([name, inner]) => [name, withoutRequired(inner)])
  return below ? { ...node, properties: Object.fromEntries(below) } : node
}

/** The settings of a group; undefined for a setting. */
function groupOf({ properties, oneOf }: Node): [name: string, node: Node][] | undefined {
  if (oneOf) return alternatives(oneOf.map((branch) => groupOf(nodeOf(branch)) ?? []))
  return properties && Object.entries(properties).map(([name, node]) => [name, nodeOf(node)])
}

/** Settings of which some stand in every branch, and others in those of one strategy alone. */
function alternatives(branches: readonly [name: string, node: Node][][]): [name: string, node: Node][] {
  const found = new Map<string, Node>()
  for (const [name, node] of branches.flat()) {
    const before = found.get(name)
    // what a branch is told by has another word in each
    if (before?.const === undefined && before?.anyOf === undefined) found.set(name, before ?? node)
    else if (node.const !== undefined)
      found.set(name, { ...node, const: undefined, anyOf: [...(before.anyOf ?? [before]), node] })
  }
  return [...found]
}

/** JSON Schema's `true` is a schema without a rule. */
function nodeOf(node: Node | boolean): Node {
  return typeof node === 'boolean' ? {} : node
}

function rangeOf(node: Node): string {
  const { type, enum: words, anyOf, prefixItems, examples, const: word } = node
  if (words) return words.join(' | ')
  if (anyOf) return anyOf.map(rangeOf).join(' | ')
  if (prefixItems) return tupleRange(prefixItems.map((item) => rangeOf(nodeOf(item))))
  if (type === 'number' || type === 'integer') return interval(node)
  if (type === 'boolean') return 'true | false'
  if (type === 'array') return 'list'
  return String(word ?? examples?.join(' | ') ?? type)
}

function tupleRange(items: readonly string[]): string {
  return new Set(items).size === 1 ? `${items.length} x ${items[0]}` : `[${items.join(', ')}]`
}

function interval({ type, minimum, exclusiveMinimum, maximum, exclusiveMaximum, multipleOf }: Node): string {
  const above =
    typeof exclusiveMinimum === 'number' && type === 'integer'
      ? exclusiveMinimum + (multipleOf ?? 1)
      : minimum
  const most = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum
  const high = typeof exclusiveMaximum === 'number' ? `<${exclusiveMaximum}` : most
  const low = above ?? `>${exclusiveMinimum}`
  const steps = multipleOf === undefined ? '' : `, by ${multipleOf}`
  if (high !== undefined) return `${low} … ${high}${steps}`
  return `${above === undefined ? low : `>=${low}`}${steps}`
}
