/** A pickle machine for data alone: the opcodes that hold data (protocols 2 to 5) and an allow-list of names. */
import type { ByteReader, Refuse } from './byte-reader.ts'

export type PickleKey = null | boolean | number | bigint | string

/**
 * What a pickle is made of here; tuples, lists and sets are arrays, dictionaries are maps. `Own`: what else the allowed names
 * stand for.
 */
export type PickleValue<Own> =
  | PickleKey
  | Uint8Array
  | Own
  | Callable<Own>
  | PickleValue<Own>[]
  | Map<PickleKey, PickleValue<Own>>

type Build<Own> = (args: readonly PickleValue<Own>[], refuse: Refuse) => PickleValue<Own>

/** An allowed name that a pickle calls. */
export class Callable<Own> {
  readonly name: string
  readonly build: Build<Own>

  constructor(name: string, build: Build<Own>) {
    this.name = name
    this.build = build
  }
}

export interface PickleOptions<Own> {
  readonly refuse: Refuse
  /** What an allowed name stands for; throws what `refuse` makes of any other. */
  readonly lookUp: (module: string, name: string, refuse: Refuse) => PickleValue<Own>
  /** Makes a value of a persistent identifier: PyTorch's references to storages. Left out where there may be none. */
  readonly persistentLoad?: (id: PickleValue<Own>) => PickleValue<Own>
  /** The key that a tuple stands for in a dictionary; left out where tuples may be none. */
  readonly tupleKey?: (items: readonly PickleValue<Own>[], refuse: Refuse) => PickleKey
  /** How often each value of the memo will be asked for; what is not among them is not kept. Left out where all is kept. */
  readonly uses?: Map<number, number>
  /** Gives an object its attributes; left out where only dictionaries have some, which say nothing. */
  readonly setState?: (target: PickleValue<Own>, state: PickleValue<Own>, refuse: Refuse) => void
  /** Sees each dictionary as it grows. It may empty one, and returns how many values it let go. */
  readonly grown?: (dictionary: Map<PickleKey, PickleValue<Own>>) => number
  /** The most values that there may be at once; without limit where the bytes are few. */
  readonly mostValues?: number
}

/** The longest name of a module, class or function; and the longest integer in bytes. */
export const maxNameBytes = 500
const maxIntegerBytes = 64
const maxProtocol = 5

/** Long texts count as several values. */
export function textWeight(text: string): number {
  return 1 + (text.length >> 6)
}

/** The machine's state. Nothing in it recurses, and each opcode works in proportion to what it reads or pops. */
class Machine<Own> {
  readonly reader: ByteReader
  readonly refuse: Refuse
  readonly options: PickleOptions<Own>
  readonly #memo = new Map<number, PickleValue<Own>>()
  #memoized = 0
  readonly #stack: PickleValue<Own>[] = []
  readonly #marks: number[] = []
  #values = 0

  constructor(reader: ByteReader, options: PickleOptions<Own>) {
    this.reader = reader
    this.refuse = options.refuse
    this.options = options
  }

  push(value: PickleValue<Own>): void {
    this.#stack.push(value)
    this.count(typeof value === 'string' ? textWeight(value) : 1)
  }

  /** Notes that so many values are made, or gone. What moves from the stack into another value is neither. */
  count(more: number): void {
    this.#values = Math.max(0, this.#values + more)
    if (this.#values > (this.options.mostValues ?? Number.POSITIVE_INFINITY))
      throw this.refuse(`its pickle holds more than ${this.options.mostValues} values at once`)
  }

  /** Keeps the topmost value, as `index` or as the next one, if it will be asked for. */
  put(index = this.#memoized): void {
    const value = this.top()
    this.#memoized++
    if (this.options.uses?.has(index) ?? true) this.#memo.set(index, value)
  }

  get(index: number): void {
    const value = this.#memo.get(index)
    if (value === undefined) throw this.refuse(`its pickle uses the value ${index} before giving it`)
    this.push(value)
    const { uses } = this.options
    if (uses === undefined) return
    const left = (uses.get(index) ?? 0) - 1
    if (left > 0) uses.set(index, left)
    else if (uses.delete(index)) this.#memo.delete(index)
  }

  /** Removes the topmost value, but none from below the last mark. */
  pop(): PickleValue<Own> {
    const value = this.#stack.length > (this.#marks.at(-1) ?? 0) ? this.#stack.pop() : undefined
    if (value === undefined) throw this.refuse('its pickle takes more values than it has')
    return value
  }

  top(): PickleValue<Own> {
    const value = this.pop()
    this.#stack.push(value)
    return value
  }

  mark(): void {
    this.#marks.push(this.#stack.length)
  }

  /** Removes everything down to the last mark. */
  popToMark(): PickleValue<Own>[] {
    const start = this.#marks.pop()
    if (start === undefined) throw this.refuse('its pickle has no mark where one must be')
    return this.#stack.splice(start)
  }

  popText(): string {
    const value = this.pop()
    if (typeof value === 'string') return value
    throw this.refuse('its pickle gives no name where one must be')
  }

  topArray(): PickleValue<Own>[] {
    const value = this.top()
    if (Array.isArray(value)) return value
    throw this.refuse('its pickle appends to what is no list')
  }

  topMap(): Map<PickleKey, PickleValue<Own>> {
    const value = this.top()
    if (value instanceof Map) return value
    throw this.refuse('its pickle sets a key of what is no dictionary')
  }

  get isDone(): boolean {
    return this.#stack.length === 0 && this.#marks.length === 0
  }
}

function popTuple<Own>(machine: Machine<Own>, length: number): void {
  const items = Array.from({ length }, () => machine.pop())
  machine.push(items.reverse())
}

/** Little-endian two's complement; a bigint only where a number would lose digits. */
function longInteger<Own>(machine: Machine<Own>, bytes: number): void {
  if (bytes > maxIntegerBytes) throw machine.refuse(`its pickle holds an integer of ${bytes} bytes`)
  const digits = machine.reader.take(bytes)
  const unsigned = digits.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n)
  const value = BigInt.asIntN(8 * bytes, unsigned)
  const short = Number(value)
  machine.push(Number.isSafeInteger(short) ? short : value)
}

function setItems<Own>(machine: Machine<Own>, items: readonly PickleValue<Own>[]): void {
  if (items.length % 2 === 1) throw machine.refuse('its pickle has a key without a value')
  const target = machine.topMap()
  for (let index = 0; index < items.length; index += 2)
    target.set(keyOf(machine, items[index]), items[index + 1])
  const { grown } = machine.options
  if (grown !== undefined) machine.count(-grown(target))
}

function keyOf<Own>({ options, refuse }: Machine<Own>, key: PickleValue<Own>): PickleKey {
  if (isPlainKey(key)) return key
  if (Array.isArray(key) && options.tupleKey !== undefined) return options.tupleKey(key, refuse)
  throw refuse('it holds a dictionary whose keys are neither text nor numbers')
}

/** Whether a value is a key as it stands: text, a number, a truth value or None. */
export function isPlainKey(value: unknown): value is PickleKey {
  if (typeof value === 'string' || typeof value === 'number') return true
  return value === null || typeof value === 'boolean' || typeof value === 'bigint'
}

function append<Own>(machine: Machine<Own>, items: readonly PickleValue<Own>[]): void {
  const target = machine.topArray()
  for (const item of items) target.push(item)
}

function reduce<Own>(machine: Machine<Own>): void {
  const args = machine.pop()
  const callable = machine.pop()
  if (!(callable instanceof Callable) || !Array.isArray(args))
    throw machine.refuse('its pickle calls what cannot be called')
  machine.count(-2 - args.length)
  machine.push(callable.build(args, machine.refuse))
}

/** Attributes of an object: PyTorch's state dicts carry `_metadata`, which weights do not need. */
function build<Own>(machine: Machine<Own>): void {
  const state = machine.pop()
  const { setState } = machine.options
  if (setState === undefined) machine.topMap()
  else setState(machine.top(), state, machine.refuse)
}

function stackGlobal<Own>(machine: Machine<Own>): void {
  const name = machine.popText()
  const module = machine.popText()
  machine.push(machine.options.lookUp(module, name, machine.refuse))
}

function global<Own>(machine: Machine<Own>): void {
  const module = machine.reader.line(maxNameBytes)
  const name = machine.reader.line(maxNameBytes)
  machine.push(machine.options.lookUp(module, name, machine.refuse))
}

function protocol<Own>(machine: Machine<Own>): void {
  const version = machine.reader.uint8()
  if (version < 2 || version > maxProtocol) throw machine.refuse(`its pickle has protocol ${version}`)
}

function setItemPair<Own>(machine: Machine<Own>): void {
  const value = machine.pop()
  setItems(machine, [machine.pop(), value])
}

/** Opcodes by their byte, in the order and with the names of Python's pickletools. */
const opcodes = new Map<number, <Own>(machine: Machine<Own>) => void>([
  [0x4a, (m) => m.push(m.reader.int32())], // BININT
  [0x4b, (m) => m.push(m.reader.uint8())], // BININT1
  [0x4d, (m) => m.push(m.reader.uint16())], // BININT2
  [0x8a, (m) => longInteger(m, m.reader.uint8())], // LONG1
  [0x8b, (m) => longInteger(m, m.reader.uint32())], // LONG4
  [0x54, (m) => m.push(m.reader.text(m.reader.uint32()))], // BINSTRING, of Python 2
  [0x55, (m) => m.push(m.reader.text(m.reader.uint8()))], // SHORT_BINSTRING, of Python 2
  [0x58, (m) => m.push(m.reader.text(m.reader.uint32()))], // BINUNICODE
  [0x8c, (m) => m.push(m.reader.text(m.reader.uint8()))], // SHORT_BINUNICODE
  [0x8d, (m) => m.push(m.reader.text(m.reader.size64()))], // BINUNICODE8
  [0x43, (m) => pushBytes(m, m.reader.uint8())], // SHORT_BINBYTES
  [0x42, (m) => pushBytes(m, m.reader.uint32())], // BINBYTES
  [0x8e, (m) => pushBytes(m, m.reader.size64())], // BINBYTES8
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x47, (m) => m.push(m.reader.float64BigEndian())], // BINFLOAT
  [0x5d, (m) => m.push([])], // EMPTY_LIST
  [0x61, (m) => appendOne(m)], // APPEND
  [0x65, (m) => append(m, m.popToMark())], // APPENDS
  [0x29, (m) => m.push([])], // EMPTY_TUPLE
  [0x74, (m) => m.push(m.popToMark())], // TUPLE
  [0x85, (m) => popTuple(m, 1)], // TUPLE1
  [0x86, (m) => popTuple(m, 2)], // TUPLE2
  [0x87, (m) => popTuple(m, 3)], // TUPLE3
  [0x7d, (m) => m.push(new Map())], // EMPTY_DICT
  [0x73, setItemPair], // SETITEM
  [0x75, (m) => setItems(m, m.popToMark())], // SETITEMS
  [0x8f, (m) => m.push([])], // EMPTY_SET
  [0x90, (m) => append(m, m.popToMark())], // ADDITEMS
  [0x28, (m) => m.mark()], // MARK
  [0x68, (m) => m.get(m.reader.uint8())], // BINGET
  [0x6a, (m) => m.get(m.reader.uint32())], // LONG_BINGET
  [0x71, (m) => m.put(m.reader.uint8())], // BINPUT
  [0x72, (m) => m.put(m.reader.uint32())], // LONG_BINPUT
  [0x94, (m) => m.put()], // MEMOIZE
  [0x63, global], // GLOBAL
  [0x93, stackGlobal], // STACK_GLOBAL
  [0x52, reduce], // REDUCE
  [0x81, reduce], // NEWOBJ: the allowed names are made alike by both
  [0x62, build], // BUILD
  [0x80, protocol], // PROTO
  [0x95, (m) => m.reader.take(8)], // FRAME
  [0x51, persistent], // BINPERSID
])

function pushBytes<Own>(machine: Machine<Own>, bytes: number): void {
  machine.push(new Uint8Array(machine.reader.take(bytes)))
}

function persistent<Own>(machine: Machine<Own>): void {
  const { persistentLoad } = machine.options
  if (persistentLoad === undefined) throw machine.refuse('it refers to a storage where none may be')
  machine.push(persistentLoad(machine.pop()))
}

function appendOne<Own>(machine: Machine<Own>): void {
  const item = machine.pop()
  append(machine, [item])
}

const stop = 0x2e

const executors = Array.from({ length: 256 }, (_, code) => opcodes.get(code))

/**
 * Reads one pickle; no code of it is run. The reader then stands behind it.
 * Throws what `refuse` makes of an opcode or name that is not allowed, and of a pickle that is damaged.
 */
export function readPickle<Own>(reader: ByteReader, options: PickleOptions<Own>): PickleValue<Own> {
  const machine = new Machine(reader, options)
  for (;;) {
    const code = reader.uint8()
    if (code === stop) break
    const execute = executors[code]
    if (execute === undefined) throw unknownOpcode(code, reader, options.refuse)
    execute(machine)
  }
  const value = machine.pop()
  if (!machine.isDone) throw options.refuse('its pickle ends with values left over')
  return value
}

/** The error for an opcode that was just read. */
export function unknownOpcode(code: number, reader: ByteReader, refuse: Refuse): Error {
  const where = `the opcode 0x${code.toString(16)} at byte ${reader.position - 1}`
  return refuse(`its pickle has ${where}, which is not allowed`)
}
