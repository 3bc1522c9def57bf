/** Sizes in which uses of a class differ, as arguments of its constructor: those that vary together share one. */

import type { Names } from './python-text.ts'
import type { Size } from './pytorch-layers.ts'

/** A size of a class. */
export interface Column {
  /** The module inside the class that it belongs to, and its position among the sizes of that. */
  readonly place: number
  readonly position: number
  readonly role: Size['role']
  /** In each use of the class. */
  readonly values: readonly number[]
  /** Whether it is written in the class, and not in one of a module inside alone. */
  readonly written: boolean
}

/** Columns that vary together. */
interface Variable {
  readonly values: readonly number[]
  readonly isStride: boolean
  /** Whether it says nothing but how many channels come in. */
  readonly isInput: boolean
  /** The column that is written first. */
  readonly first: Column
}

export interface SizeArguments {
  /** Name and column of each argument, in the order in which they are written first. */
  readonly parameters: readonly (readonly [name: string, column: Column])[]
  /** What is written for a column. */
  expression(column: Column): string
}

/** Arguments for the columns of a class, named in its constructor's scope. */
export function sizeArguments(columns: readonly Column[], names: Names): SizeArguments {
  const variables = variablesOf(columns)
  const channels = columns.filter(({ role }) => role !== 'stride')
  const ends = new Set([channels.at(0), channels.at(-1)].map((column) => column && nameOf(column)))
  const isEnd = ({ first }: Variable) => ends.has(nameOf(first))
  const given = new Map<string, string>()
  const shares: { variable: Variable; share: Share }[] = []
  const own: Variable[] = []
  for (const variable of variables) {
    const share =
      variable.isStride || isEnd(variable) ? undefined : shareOf(variable, variables.filter(isEnd))
    if (share) shares.push({ variable, share })
    else own.push(variable)
  }
  const wanted = argumentNames(own)
  for (const [index, { first }] of own.entries()) given.set(nameOf(first), names.unused(wanted[index]))
  for (const { variable, share } of shares)
    given.set(nameOf(variable.first), share.write(given.get(nameOf(share.base.first)) ?? ''))
  return {
    parameters: own.map(({ first }) => [given.get(nameOf(first)) ?? '', first]),
    expression: (column) => given.get(nameOf(column)) ?? String(column.values[0]),
  }
}

/** Equal for columns that vary together. */
function nameOf({ role, values }: Column): string {
  return `${role === 'stride'} ${values.join()}`
}

/** What differs between uses and is written. */
function variablesOf(columns: readonly Column[]): Variable[] {
  const varying = columns.filter(({ values }) => values.some((value) => value !== values[0]))
  const written = varying.filter((column) => column.written)
  const firsts = written.filter(
    (column, index) => written.findIndex((other) => nameOf(other) === nameOf(column)) === index,
  )
  return firsts.map((first) => {
    const roles = varying.flatMap((column) => (nameOf(column) === nameOf(first) ? [column.role] : []))
    return {
      values: first.values,
      isStride: first.role === 'stride',
      isInput: roles.includes('in') && !roles.includes('out'),
      first,
    }
  })
}

/** A fixed part or multiple of another variable. */
interface Share {
  readonly base: Variable
  readonly write: (base: string) => string
}

/** Channels in between that are a part of those that go out, or a multiple of those that come in. */
function shareOf({ values }: Variable, ends: readonly Variable[]): Share | undefined {
  for (const base of ends.toReversed()) {
    const part = Math.round(base.values[0] / values[0])
    if (part > 1 && values.every((value, use) => value === Math.floor(base.values[use] / part)))
      return { base, write: (name) => `${name} // ${part}` }
  }
  for (const base of ends) {
    const times = Math.round(values[0] / base.values[0])
    if (times > 1 && values.every((value, use) => value === base.values[use] * times))
      return { base, write: (name) => `${times} * ${name}` }
  }
  return undefined
}

/** `c`, `c_in` and `stride`, with numbers where there are several. */
function argumentNames(variables: readonly Variable[]): string[] {
  const kindOf = ({ isStride, isInput }: Variable) => (isStride ? 'stride' : isInput ? 'c_in' : 'c')
  const of = (kind: string) => variables.filter((variable) => kindOf(variable) === kind)
  return variables.map((variable) => {
    const kind = kindOf(variable)
    const alike = of(kind)
    if (alike.length > 1) return `${kind}${alike.indexOf(variable) + 1}`
    if (kind === 'c' && of('c_in').length === 1) return 'c_out'
    return kind === 'c_in' && of('c').length === 0 ? 'c' : kind
  })
}
