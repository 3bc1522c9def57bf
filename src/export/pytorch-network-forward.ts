/** The lines from images to logits: state by state, with a loop over blocks that follow each other. */
import { images, lookUp, type StateId } from '../nn/index.ts'
import { type Code, variableName } from './python-text.ts'
import type { BlockCall } from './pytorch-blocks.ts'
import { type Forward, ForwardWriter } from './pytorch-forward.ts'
import type { Scope } from './pytorch-scope.ts'
import { type PlannedState, stateCode } from './pytorch-states.ts'

/** What is computed in one go: a state that stands alone, or a block. */
export type Item = PlannedState | BlockCall

/** Items that stand together: one by itself, or blocks in a loop. */
type Segment = { readonly item: Item } | { readonly run: readonly BlockCall[] }

/** The state that an item makes. */
export function outputOf(item: Item): StateId {
  return 'block' in item ? item.block.output : item.state.id
}

function readBy(item: Item): readonly StateId[] {
  return 'block' in item ? item.inputs : item.ways.map(({ input }) => input)
}

/** The names in a loop of what a block is given. */
function windowNames(count: number): string[] {
  return count === 1 ? ['x'] : Array.from({ length: count }, (_, index) => `s${index}`)
}

/** Images in, logits out. */
export function networkForward(items: readonly Item[], logits: StateId, scope: Scope): Forward {
  const segments = segmented(items, scope)
  const writer = new NetworkWriter(segments, scope)
  for (const [index, segment] of segments.entries()) {
    if ('item' in segment) writer.item(segment.item, index, outputOf(segment.item) === logits)
    else writer.loop(segment.run, index)
  }
  const last = segments.at(-1)
  if (last && 'run' in last) writer.return(logits)
  return writer.forward()
}

/** Blocks of a list that follow each other, each given what the one before was given without the first, and its output. */
function segmented(items: readonly Item[], scope: Scope): Segment[] {
  const readers = new Map<StateId, Item[]>()
  for (const item of items) for (const id of readBy(item)) readers.set(id, [...(readers.get(id) ?? []), item])
  const segments: Segment[] = []
  for (let at = 0; at < items.length; ) {
    const run = runFrom(items, at, scope)
    // what the loop forgets must not be read after it
    const kept = run.length > 0 ? run[0].inputs.length : 0
    const hidden = run.slice(0, -kept || undefined)
    const isLoop =
      run.length > 1 &&
      hidden.every((call) =>
        (readers.get(outputOf(call)) ?? []).every((item) => run.some((one) => one === item)),
      )
    segments.push(isLoop ? { run } : { item: items[at] })
    at += isLoop ? run.length : 1
  }
  return segments
}

function runFrom(items: readonly Item[], start: number, scope: Scope): BlockCall[] {
  const run: BlockCall[] = []
  for (const item of items.slice(start)) {
    if (!('block' in item)) break
    const last = run.at(-1)
    if (last && !follows(last, item, scope)) break
    run.push(item)
  }
  return run
}

function follows(last: BlockCall, next: BlockCall, scope: Scope): boolean {
  const [[list, index], [other, then]] = [last, next].map(({ block }) => inList(scope, block.name))
  const given = [...last.inputs.slice(1), last.block.output]
  return list !== '' && list === other && then === index + 1 && given.join('\n') === next.inputs.join('\n')
}

/** The expression of the list that a block stands in, '' for none, and its place there. */
function inList(scope: Scope, path: string): readonly [list: string, index: number] {
  const [, list = '', index] = /^(.*)\[(\d+)\]$/.exec(scope.access(path)) ?? []
  return [list, Number(index)]
}

class NetworkWriter {
  readonly #writer: ForwardWriter
  readonly #scope: Scope
  /** The variables that hold a state. */
  readonly #variables = new Map<StateId, readonly string[]>([[images, [images]]])
  /** The segment that reads a state last. */
  readonly #lastReader = new Map<StateId, number>()
  /** What a loop begins with, and what it calls that. */
  readonly #wanted = new Map<StateId, readonly string[]>()
  readonly #loopNames = new Map<string, string>()

  constructor(segments: readonly Segment[], scope: Scope) {
    const windows = segments.flatMap((segment) =>
      'run' in segment ? windowNames(segment.run[0].inputs.length) : [],
    )
    this.#writer = new ForwardWriter((path) => scope.access(path), [images, ...windows])
    this.#scope = scope
    for (const [index, segment] of segments.entries())
      for (const item of 'run' in segment ? segment.run : [segment.item])
        for (const id of readBy(item)) this.#lastReader.set(id, index)
    for (const [index, segment] of segments.entries())
      if ('run' in segment) this.#want(segment.run[0].inputs, index)
  }

  /** What is read last by a loop has the loop's names from the beginning. */
  #want(inputs: readonly StateId[], loop: number): void {
    const names = windowNames(inputs.length)
    for (const id of inputs)
      if (this.#lastReader.get(id) === loop)
        this.#wanted.set(
          id,
          names.filter((_, index) => inputs[index] === id),
        )
  }

  /** Whether what a variable holds is not read after a segment. */
  #isFree(name: string, segment: number): boolean {
    const held = [...this.#variables].filter(([, names]) => names.includes(name))
    return held.every(([id]) => (this.#lastReader.get(id) ?? 0) <= segment)
  }

  #variableOf(id: StateId): string {
    return lookUp(this.#variables, id)[0]
  }

  item(item: Item, segment: number, isLast: boolean): void {
    const id = outputOf(item)
    const wanted = this.#wanted.get(id)
    const isFree = wanted?.every((name) => this.#isFree(name, segment)) === true
    const own = this.#writer.temporary(variableName(id, 'x'))
    const names = () => (wanted && isFree ? wanted : [own()])
    const code = this.#code(item, () => names()[0])
    const [first] = readBy(item)
    if (isLast) this.#writer.return(code)
    else if (code === this.#variableOf(first)) this.#variables.set(id, [code])
    else {
      this.#writer.assign(names().join(' = '), code)
      this.#variables.set(id, names())
    }
  }

  #code(item: Item, target: () => string): Code {
    const variables = readBy(item).map((input) => this.#variableOf(input))
    if ('block' in item)
      return { open: `${this.#scope.access(item.block.name)}(`, items: variables, close: ')' }
    return stateCode(this.#writer, item, (way) => variables[way], target)
  }

  loop(run: readonly BlockCall[], segment: number): void {
    const [{ block, inputs }] = run
    const wanted = windowNames(inputs.length)
    const isFree = wanted.every((name) => this.#isFree(name, segment))
    const names = isFree ? wanted : wanted.map((name) => this.#writer.unused(name))
    const given = inputs.map((input, index) => {
      const known = lookUp(this.#variables, input)
      return known.includes(names[index]) ? names[index] : known[0]
    })
    this.#writer.assign(names.join(', '), given.join(', '))
    const one = this.#loopName(block.name)
    const next = [...names.slice(1), `${one}(${names.join(', ')})`]
    this.#writer.loop(
      `for ${one} in ${this.#listOf(block.name, run.length)}:`,
      `${names.join(', ')} = ${next.join(', ')}`,
    )
    const values = [...inputs, ...run.map(outputOf)].slice(-names.length)
    for (const [index, id] of values.entries()) this.#variables.set(id, [names[index]])
  }

  /** The part of a list that a loop goes through. */
  #listOf(path: string, count: number): string {
    const [list, start] = inList(this.#scope, path)
    const length = this.#scope.listLength(path)
    if (count === length) return list
    return `${list}[${start === 0 ? '' : start}:${start + count === length ? '' : start + count}]`
  }

  /** `cell` for one of `cells`. */
  #loopName(path: string): string {
    const list = path.split('.').at(-2) ?? ''
    const known = this.#loopNames.get(list)
    if (known !== undefined) return known
    const one = /[a-z]s$/.test(list) ? variableName(list.slice(0, -1), 'block') : 'block'
    this.#loopNames.set(list, this.#writer.unused(one))
    return this.#loopName(path)
  }

  forward(): Forward {
    return { parameters: [images], statements: this.#writer.statements }
  }

  /** After a loop that ends with the logits. */
  return(id: StateId): void {
    this.#writer.return(this.#variableOf(id))
  }
}
