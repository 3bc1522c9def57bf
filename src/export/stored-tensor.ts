/** A tensor as PyTorch saves it: a window of a storage by offset, sizes and strides; made into a tensor when asked for. */

import type { Refuse } from '../formats/byte-reader.ts'
import {
  areTruthValues,
  call,
  type Dtype,
  elementBytes,
  isCountable,
  memoryFormats,
  Tensor,
  tidy,
} from '../torch/index.ts'

/** What a file can hold that becomes a tensor, by the name of PyTorch's storage class. */
export const storageTypes: Readonly<Record<string, Dtype>> = {
  ByteStorage: 'uint8',
  BoolStorage: 'bool',
  IntStorage: 'int32',
  LongStorage: 'int64',
  HalfStorage: 'float16',
  BFloat16Storage: 'bfloat16',
  FloatStorage: 'float32',
  DoubleStorage: 'float64',
}

/** PyTorch's own limit on dimensions. */
export const maxDimensions = 64

/** A flat run of elements in a file; several tensors may share it. */
export class Storage {
  readonly dtype: Dtype
  readonly elements: number
  /** The elements' bytes, little-endian; read when asked for. */
  readonly bytes: () => Uint8Array

  constructor(dtype: Dtype, elements: number, bytes: () => Uint8Array) {
    this.dtype = dtype
    this.elements = elements
    this.bytes = bytes
  }
}

export interface Window {
  /** In elements, as are the strides. */
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

/** A tensor of a file that is not read yet. */
export class StoredTensor {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly #storage: Storage
  readonly #window: Window
  readonly #refuse: Refuse

  /** Throws what `refuse` makes of a window that reaches beyond its storage. */
  constructor(storage: Storage, window: Window, refuse: Refuse) {
    checkWindow(storage, window, refuse)
    this.dtype = storage.dtype
    this.shape = window.shape
    this.#storage = storage
    this.#window = window
    this.#refuse = refuse
  }

  /** Bytes that the tensor takes once read. */
  get byteLength(): number {
    return count(this.shape) * elementBytes[this.dtype]
  }

  /** A CPU tensor in row-major order. Throws where the file's elements are damaged. */
  read(): Tensor {
    const { offset, shape, strides } = this.#window
    if (count(shape) === 0) return Tensor.from(new Uint8Array(0), shape, this.dtype)
    const span = 1 + lastIndex(shape, strides)
    const width = elementBytes[this.dtype]
    const bytes = this.#storage.bytes().subarray(offset * width, (offset + span) * width)
    if (this.dtype === 'bool' && !areTruthValues(bytes))
      throw this.#refuse('it holds a truth value that is neither 0 nor 1')
    if (isRowMajor(shape, strides)) return Tensor.from(bytes, shape, this.dtype)
    return tidy(() => {
      const flat = Tensor.from(bytes, [span], this.dtype)
      const strided = call('aten::as_strided', flat, shape, strides, 0)
      return call('aten::clone', strided, memoryFormats.contiguous)
    })
  }
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1)
}

/** Index of the last element of the window, from its first. */
function lastIndex(shape: readonly number[], strides: readonly number[]): number {
  return shape.reduce((index, length, axis) => index + (length - 1) * strides[axis], 0)
}

function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] > 1 && strides[axis] !== expected) return false
    expected *= shape[axis]
  }
  return true
}

function checkWindow(storage: Storage, { offset, shape, strides }: Window, refuse: Refuse): void {
  const whole = [offset, ...shape, ...strides].every((value) => Number.isSafeInteger(value) && value >= 0)
  const size = count(shape)
  if (!whole || shape.length !== strides.length || !isCountable(shape))
    throw refuse(`it holds a tensor of shape [${shape.slice(0, 8)}] and strides [${strides.slice(0, 8)}]`)
  const end = size === 0 ? offset : offset + lastIndex(shape, strides) + 1
  if (end > storage.elements)
    throw refuse(`it holds a tensor of shape [${shape}] that reaches beyond its ${storage.elements} elements`)
}
