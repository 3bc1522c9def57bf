/** A pickle machine for data alone: the opcodes that PyTorch writes (protocols 2 to 4) and an allow-list of names. */
import { ByteReader, type Refuse } from './byte-reader.ts'
import { Callable, lookUp, type PickleKey, type PickleValue, setItem } from './pickle-globals.ts'

/** Makes a value of a persistent identifier: PyTorch's references to storages. */
export type PersistentLoad = (id: PickleValue) => PickleValue

export interface PickleOptions {
  readonly refuse: Refuse
  /** Left out where a pickle may hold no storages. */
  readonly persistentLoad?: PersistentLoad
}

/** The longest name of a module, class or function; and the longest integer in bytes. */
const maxNameBytes = 500
const maxIntegerBytes = 64
const maxProtocol = 5

/** The machine's state. Nothing in it recurses, and each opcode works in proportion to what it reads or pops. */
class Machine {
  readonly reader: ByteReader
  readonly refuse: Refuse
  readonly persistentLoad: PersistentLoad
  readonly memo = new Map<number, PickleValue>()
  readonly #stack: PickleValue[] = []
  readonly #marks: number[] = []

  constructor(data: Uint8Array, start: number, { refuse, persistentLoad }: PickleOptions) {
    this.reader = new ByteReader(data, start, refuse)
    this.refuse = refuse
    this.persistentLoad =
      persistentLoad ??
      (() => {
        throw refuse('it refers to a storage where none may be')
      })
  }

  push(value: PickleValue): void {
    this.#stack.push(value)
  }

  /** Removes the topmost value, but none from below the last mark. */
  pop(): PickleValue {
    const value = this.#stack.length > (this.#marks.at(-1) ?? 0) ? this.#stack.pop() : undefined
    if (value === undefined) throw this.refuse('its pickle takes more values than it has')
    return value
  }

  top(): PickleValue {
    const value = this.pop()
    this.#stack.push(value)
    return value
  }

  mark(): void {
    this.#marks.push(this.#stack.length)
  }

  /** Removes everything down to the last mark. */
  popToMark(): PickleValue[] {
    const start = this.#marks.pop()
    if (start === undefined) throw this.refuse('its pickle has no mark where one must be')
    return this.#stack.splice(start)
  }

  popText(): string {
    const value = this.pop()
    if (typeof value === 'string') return value
    throw this.refuse('its pickle gives no name where one must be')
  }

  topArray(): PickleValue[] {
    const value = this.top()
    if (Array.isArray(value)) return value
    throw this.refuse('its pickle appends to what is no list')
  }

  topMap(): Map<PickleKey, PickleValue> {
    const value = this.top()
    if (value instanceof Map) return value
    throw this.refuse('its pickle sets a key of what is no dictionary')
  }

  get isDone(): boolean {
    return this.#stack.length === 0 && this.#marks.length === 0
  }
}

function popTuple(machine: Machine, length: number): void {
  const items = Array.from({ length }, () => machine.pop())
  machine.push(items.reverse())
}

/** Little-endian two's complement; a bigint only where a number would lose digits. */
function longInteger(machine: Machine, bytes: number): void {
  if (bytes > maxIntegerBytes) throw machine.refuse(`its pickle holds an integer of ${bytes} bytes`)
  const digits = machine.reader.take(bytes)
  const unsigned = digits.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n)
  const value = BigInt.asIntN(8 * bytes, unsigned)
  const short = Number(value)
  machine.push(Number.isSafeInteger(short) ? short : value)
}

function setItems(machine: Machine, items: readonly PickleValue[]): void {
  if (items.length % 2 === 1) throw machine.refuse('its pickle has a key without a value')
  const target = machine.topMap()
  for (let index = 0; index < items.length; index += 2)
    setItem(target, items[index], items[index + 1], machine.refuse)
}

function append(machine: Machine, items: readonly PickleValue[]): void {
  const target = machine.topArray()
  for (const item of items) target.push(item)
}

function reduce(machine: Machine): void {
  const args = machine.pop()
  const callable = machine.pop()
  if (!(callable instanceof Callable) || !Array.isArray(args))
    throw machine.refuse('its pickle calls what cannot be called')
  machine.push(callable.build(args, machine.refuse))
}

/** Attributes of an object: PyTorch's state dicts carry `_metadata`, which weights do not need. */
function build(machine: Machine): void {
  machine.pop()
  machine.topMap()
}

function stackGlobal(machine: Machine): void {
  const name = machine.popText()
  const module = machine.popText()
  machine.push(lookUp(module, name, machine.refuse))
}

function global(machine: Machine): void {
  const module = machine.reader.line(maxNameBytes)
  const name = machine.reader.line(maxNameBytes)
  machine.push(lookUp(module, name, machine.refuse))
}

function put(machine: Machine, index: number): void {
  machine.memo.set(index, machine.top())
}

function get(machine: Machine, index: number): void {
  const value = machine.memo.get(index)
  if (value === undefined) throw machine.refuse(`its pickle uses the value ${index} before giving it`)
  machine.push(value)
}

function protocol(machine: Machine): void {
  const version = machine.reader.uint8()
  if (version < 2 || version > maxProtocol) throw machine.refuse(`its pickle has protocol ${version}`)
}

function setItemPair(machine: Machine): void {
  const value = machine.pop()
  setItems(machine, [machine.pop(), value])
}

/** Opcodes by their byte, in the order and with the names of Python's pickletools. */
const opcodes = new Map<number, (machine: Machine) => void>([
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
  [0x68, (m) => get(m, m.reader.uint8())], // BINGET
  [0x6a, (m) => get(m, m.reader.uint32())], // LONG_BINGET
  [0x71, (m) => put(m, m.reader.uint8())], // BINPUT
  [0x72, (m) => put(m, m.reader.uint32())], // LONG_BINPUT
  [0x94, (m) => put(m, m.memo.size)], // MEMOIZE
  [0x63, global], // GLOBAL
  [0x93, stackGlobal], // STACK_GLOBAL
  [0x52, reduce], // REDUCE
  [0x81, reduce], // NEWOBJ: the allowed names are made alike by both
  [0x62, build], // BUILD
  [0x80, protocol], // PROTO
  [0x95, (m) => m.reader.take(8)], // FRAME
  [0x51, (m) => m.push(m.persistentLoad(m.pop()))], // BINPERSID
])

function appendOne(machine: Machine): void {
  const item = machine.pop()
  append(machine, [item])
}

const stop = 0x2e

/**
 * Reads one pickle that begins at `start`; no code of it is run.
 * @returns its value, and where the next byte after it lies.
 * Throws what `refuse` makes of an opcode or name that is not allowed, and of a pickle that is damaged.
 */
export function readPickle(
  data: Uint8Array,
  start: number,
  options: PickleOptions,
): { value: PickleValue; end: number } {
  const machine = new Machine(data, start, options)
  for (;;) {
    const at = machine.reader.position
    const code = machine.reader.uint8()
    if (code === stop) break
    const execute = opcodes.get(code)
    if (execute === undefined)
      throw options.refuse(
        `its pickle has the opcode 0x${code.toString(16)} at byte ${at}, which is not allowed`,
      )
    execute(machine)
  }
  const value = machine.pop()
  if (!machine.isDone) throw options.refuse('its pickle ends with values left over')
  return { value, end: machine.reader.position }
}
