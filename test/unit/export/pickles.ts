/** Pickles written opcode by opcode, and the files of torch.save around them, for tests of the reader. */
import { writeZip } from '../../../src/export/zip-writer.ts'

/** Text stands for ASCII opcodes with their arguments, numbers for bytes. */
type Part = string | number | Uint8Array

export function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'string') return Buffer.from(part, 'latin1')
      return typeof part === 'number' ? Buffer.of(part) : Buffer.from(part)
    }),
  )
}

/** A count or an offset in four bytes. */
export function uint32(value: number): Buffer {
  const data = Buffer.alloc(4)
  data.writeUInt32LE(value)
  return data
}

/** BINUNICODE. */
export function text(value: string): Buffer {
  return bytes('X', uint32(Buffer.byteLength(value)), Buffer.from(value))
}

/** BININT. */
export function int(value: number): Buffer {
  const data = Buffer.alloc(4)
  data.writeInt32LE(value)
  return bytes('J', data)
}

/** TUPLE. */
export function tuple(...items: readonly Part[]): Buffer {
  return bytes('(', ...items, 't')
}

/** A whole pickle: protocol, value, STOP. */
export function pickle(...value: readonly Part[]): Buffer {
  return bytes(0x80, 2, ...value, '.')
}

/** EMPTY_DICT and SETITEMS. */
export function dict(entries: Readonly<Record<string, Part>>): Buffer {
  return bytes('}(', ...Object.entries(entries).flatMap(([key, value]) => [text(key), value]), 'u')
}

export interface TensorParts {
  readonly type?: string
  readonly key?: string
  readonly elements?: number
  readonly offset?: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  /** What the legacy format adds to a storage; none in the zip format. */
  readonly view?: Part
}

/** A persistent identifier of a storage. */
export function storage({
  type = 'FloatStorage',
  key = '0',
  elements = 6,
  view,
}: Omit<TensorParts, 'shape' | 'strides'>) {
  const more = view === undefined ? [] : [view]
  const id = tuple(text('storage'), `ctorch\n${type}\n`, text(key), text('cpu'), int(elements), ...more)
  return bytes(id, 'Q')
}

/** torch._utils._rebuild_tensor_v2. */
export function tensor(parts: TensorParts): Buffer {
  const sizes = (values: readonly number[]) => tuple(...values.map(int))
  const args = [storage(parts), int(parts.offset ?? 0), sizes(parts.shape), sizes(parts.strides)]
  return bytes('ctorch._utils\n_rebuild_tensor_v2\n', tuple(...args, 0x89, 'N'), 'R')
}

export function floats(...values: readonly number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer)
}

/** The elements 0 to 5 of the storage that `tensor` refers to where not told otherwise. */
export const six = floats(0, 1, 2, 3, 4, 5)

/** A file in the zip format. */
export function zipFile(
  data: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>> = { 0: six },
  more: Readonly<Record<string, string>> = {},
): Uint8Array {
  return writeZip([
    ['a/data.pkl', data],
    ...Object.entries(storages).map(([key, content]) => [`a/data/${key}`, content] as const),
    ...Object.entries(more).map(([name, content]) => [`a/${name}`, Buffer.from(content)] as const),
    ['a/version', Buffer.from('3\n')],
  ])
}

/** A file in the legacy format; each storage is given with its count of elements. */
export function legacyFile(
  data: Uint8Array,
  storages: readonly (readonly [string, number, Uint8Array])[] = [['0', 6, six]],
  littleEndian = true,
): Uint8Array {
  const magic = bytes(0x8a, 10, Buffer.from('6cfc9c46f9206aa85019', 'hex'))
  const system = dict({ little_endian: littleEndian ? 0x88 : 0x89 })
  const keys = bytes('](', ...storages.map(([key]) => text(key)), 'e')
  const tail = storages.flatMap(([, elements, content]) => [uint32(elements), uint32(0), content])
  return bytes(pickle(magic), pickle(int(1001)), pickle(system), data, pickle(keys), ...tail)
}
