/** Writes the pickle (protocol 2) of a state dict as torch.save does: an OrderedDict of tensors that name their storages. */
import type { Tensor } from '../torch/index.ts'
import { storageTypes } from './stored-tensor.ts'

const storageNames = new Map(Object.entries(storageTypes).map(([name, dtype]) => [dtype, name]))

/** Opcodes with the names of Python's pickletools. */
const op = {
  proto: 0x80,
  mark: 0x28,
  stop: 0x2e,
  global: 0x63,
  emptyTuple: 0x29,
  tuple: 0x74,
  reduce: 0x52,
  setItems: 0x75,
  persistentId: 0x51,
  unicode: 0x58,
  int32: 0x4a,
  long1: 0x8a,
  newFalse: 0x89,
} as const

function global(module: string, name: string): Buffer {
  return Buffer.from(`${String.fromCharCode(op.global)}${module}\n${name}\n`, 'latin1')
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  const head = Buffer.alloc(5)
  head.writeUInt8(op.unicode)
  head.writeUInt32LE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

/** A whole number that is not negative. */
function integer(value: number): Buffer {
  const bytes = Buffer.alloc(value <= 0x7fffffff ? 5 : 10)
  if (bytes.length === 5) {
    bytes.writeUInt8(op.int32)
    bytes.writeInt32LE(value, 1)
  } else {
    bytes.writeUInt8(op.long1)
    bytes.writeUInt8(8, 1)
    bytes.writeBigInt64LE(BigInt(value), 2)
  }
  return bytes
}

function tuple(items: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.of(op.mark), ...items, Buffer.of(op.tuple)])
}

const orderedDict = Buffer.concat([
  global('collections', 'OrderedDict'),
  Buffer.of(op.emptyTuple),
  Buffer.of(op.reduce),
])

/** Strides of a row-major tensor. */
function strides(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, length) => product * length, 1))
}

/** torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict()). */
function rebuildTensor({ dtype, shape, size }: Tensor, key: string): Buffer {
  const storage = tuple([
    text('storage'),
    global('torch', storageNames.get(dtype) ?? ''),
    text(key),
    text('cpu'),
    integer(size),
  ])
  const args = tuple([
    storage,
    Buffer.of(op.persistentId),
    integer(0),
    tuple(shape.map(integer)),
    tuple(strides(shape).map(integer)),
    Buffer.of(op.newFalse),
    orderedDict,
  ])
  return Buffer.concat([global('torch._utils', '_rebuild_tensor_v2'), args, Buffer.of(op.reduce)])
}

/** The pickle of tensors by name; the n-th refers to storage `n`. */
export function pickleStateDict(tensors: readonly (readonly [string, Tensor])[]): Uint8Array {
  const items = tensors.flatMap(([name, tensor], index) => [text(name), rebuildTensor(tensor, String(index))])
  return Buffer.concat([
    Buffer.of(op.proto, 2),
    orderedDict,
    Buffer.of(op.mark),
    ...items,
    Buffer.of(op.setItems, op.stop),
  ])
}
