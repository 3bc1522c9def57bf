/** A tensor of libtorch, held by an integer slot, and the one call through which every operator runs. */
import { DdsasError } from '../errors.ts'
import { type NativeValue, native } from './native.ts'
import { track, untrack } from './tidy.ts'

/** libtorch's number of each element type (c10::ScalarType). */
export const dtypes = {
  uint8: 0,
  int16: 2,
  int32: 3,
  int64: 4,
  float16: 5,
  float32: 6,
  float64: 7,
  bool: 11,
  bfloat16: 15,
} as const

export type Dtype = keyof typeof dtypes

export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(dtypes, name)
}

/** Bytes of an element of each type. */
export const elementBytes: Readonly<Record<Dtype, number>> = {
  uint8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
  bool: 1,
  bfloat16: 2,
}

/** Whether a tensor's strides can be counted, also where it has no element: for shapes that come from files. */
export function isCountable(shape: readonly number[]): boolean {
  return shape.reduce((product, length) => product * Math.max(length, 1), 1) <= 2 ** 50
}

/** Whether bytes can be elements of a bool tensor: C++ knows no others than 0 and 1. */
export function areTruthValues(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte <= 1)
}

/** libtorch's number of each memory format (c10::MemoryFormat). */
export const memoryFormats = { contiguous: 0, preserve: 1, channelsLast: 2 } as const

const dtypeNames = new Map(Object.entries(dtypes).map(([name, code]) => [code as number, name as Dtype]))

type Elements = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array

function dtypeOf(data: Elements): Dtype {
  if (data instanceof Float32Array) return 'float32'
  if (data instanceof Float64Array) return 'float64'
  if (data instanceof Int32Array) return 'int32'
  return data instanceof BigInt64Array ? 'int64' : 'uint8'
}

/**
 * A handle to a tensor. It lives until the `tidy` scope it was made in ends, or until `dispose` where there is none;
 * JavaScript's garbage collector does not free it.
 */
export class Tensor {
  /** Place in the addon's table; -1 once disposed. */
  slot: number
  #about: { shape: number[]; dtype: number; device: string } | undefined

  /** @internal Takes ownership of a slot and registers it with the current `tidy` scope. */
  constructor(slot: number) {
    this.slot = slot
    track(this)
  }

  /** A copy of `data` in row-major order as a CPU tensor; a Uint8Array may also be given as `bool`. */
  static from(data: Elements, shape: readonly number[], dtype: Dtype = dtypeOf(data)): Tensor {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    return new Tensor(guard(() => native().fromBytes(bytes, dtypes[dtype], shape)))
  }

  #describe() {
    if (this.slot < 0) this.#about = undefined
    this.#about ??= guard(() => native().describe(this.slot))
    return this.#about
  }

  get shape(): readonly number[] {
    return this.#describe().shape
  }

  get dtype(): Dtype {
    const code = this.#describe().dtype
    const name = dtypeNames.get(code)
    if (name === undefined)
      throw new DdsasError('torch', `tensors of libtorch's element type ${code} are not used here`)
    return name
  }

  /** `cpu` or `cuda:0`, … */
  get device(): string {
    return this.#describe().device
  }

  /** How many elements. */
  get size(): number {
    return this.shape.reduce((product, length) => product * length, 1)
  }

  /** The value of a tensor of one element; waits for the device. */
  item(): number {
    return guard(() => native().item(this.slot))
  }

  /** A copy of the bytes in row-major order, whatever the device and memory format. */
  bytes(): Uint8Array {
    return new Uint8Array(guard(() => native().toBytes(this.slot)))
  }

  /** A copy of the elements of a float32 or float64 tensor, row-major. */
  floats(): Float32Array | Float64Array {
    const { buffer } = this.bytes()
    if (this.dtype === 'float64') return new Float64Array(buffer)
    if (this.dtype === 'float32') return new Float32Array(buffer)
    throw new DdsasError('torch', `floats() needs float32 or float64, the tensor is ${this.dtype}`)
  }

  /** A copy of a matrix [rows, columns] as nested arrays: the form `src/search` works on. */
  matrix(): number[][] {
    const [rows, columns] = this.shape
    const data = this.floats()
    return Array.from({ length: rows }, (_, row) => [...data.subarray(row * columns, (row + 1) * columns)])
  }

  /** Frees the slot now. The tensor itself lives on while autograd or another tensor holds it. */
  dispose(): void {
    if (this.slot < 0) return
    untrack(this)
    native().free([this.slot])
    this.slot = -1
  }
}

/** What an operator takes: tensors, and what the schema's other types convert from. */
export type Argument = Tensor | number | boolean | string | null | undefined | readonly Argument[]

function toNative(value: Argument): NativeValue {
  if (value instanceof Tensor) return value.slot
  return Array.isArray(value) ? value.map(toNative) : (value as NativeValue)
}

/**
 * Runs a native function; its error becomes a DdsasError 'torch', or 'memory' where that ran out, with the operator, shapes and
 * libtorch's words; or 'rank' where another process of the run is gone.
 */
export function guard<Result>(body: () => Result): Result {
  try {
    return body()
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new DdsasError(code === 'memory' || code === 'rank' ? code : 'torch', message, { cause })
  }
}

const operators = new Map<string, number>()

function operator(name: string): number {
  const known = operators.get(name)
  if (known !== undefined) return known
  const id = guard(() => native().operator(name))
  operators.set(name, id)
  return id
}

/** Calls an operator whose results are no tensors, or are to be taken as slots. */
export function invoke(name: string, args: readonly Argument[] = []): NativeValue {
  const id = operator(name)
  return guard(() => native().call(id, args.map(toNative)))
}

/** Calls an operator that returns one tensor, such as `call('aten::add.Tensor', a, b)`. */
export function call(name: string, ...args: Argument[]): Tensor {
  return new Tensor(invoke(name, args) as number)
}

/** Calls an operator that returns several tensors; null stands for an undefined one. */
export function callMany(name: string, ...args: Argument[]): (Tensor | null)[] {
  const result = invoke(name, args) as (number | null)[]
  return result.map((slot) => (slot === null ? null : new Tensor(slot)))
}

/** Calls an in-place operator for its effect; the alias it may return is freed at once. */
export function run(name: string, ...args: Argument[]): void {
  const result = invoke(name, args)
  if (typeof result === 'number') native().free([result])
}

/** A call that computes on a thread of its own until `finish` is asked for its one tensor. */
export function callLater(name: string, ...args: Argument[]): { finish(): Tensor } {
  const id = operator(name)
  const ticket = guard(() => native().callLater(id, args.map(toNative)))
  return { finish: () => new Tensor(guard(() => native().finish(ticket)) as number) }
}
