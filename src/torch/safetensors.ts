/** The safetensors file format: a JSON header (name -> dtype, shape, byte range), then the tensors' bytes. */
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import { areTruthValues, type Dtype, elementBytes, isCountable, isDtype, Tensor } from './tensor.ts'
import { tidy } from './tidy.ts'

/** The format's name of each element type. */
const formatNames: Readonly<Record<Dtype, string>> = {
  uint8: 'U8',
  int16: 'I16',
  int32: 'I32',
  int64: 'I64',
  float16: 'F16',
  float32: 'F32',
  float64: 'F64',
  bool: 'BOOL',
  bfloat16: 'BF16',
}
const dtypeOfFormat = new Map(
  Object.keys(formatNames)
    .filter((name) => isDtype(name))
    .map((dtype) => [formatNames[dtype], dtype]),
)
const maximalHeader = 100_000_000
const whole = z.number().int().nonnegative()
const entrySchema = z.object({
  dtype: z.string(),
  shape: z.array(whole),
  data_offsets: z.tuple([whole, whole]),
})
const metadataSchema = z.record(z.string(), z.string())

export interface TensorFile {
  readonly tensors: Map<string, Tensor>
  readonly metadata: Readonly<Record<string, string>>
}

/** The bytes of a safetensors file holding these tensors (from any device), in the order given. */
export function encodeSafetensors(
  tensors: Iterable<readonly [string, Tensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const entries: [string, unknown][] = Object.keys(metadata).length > 0 ? [['__metadata__', metadata]] : []
  const parts: Uint8Array[] = []
  let offset = 0
  for (const [name, tensor] of tensors) {
    const bytes = tensor.bytes()
    const end = offset + bytes.byteLength
    if (name === '__metadata__')
      throw new DdsasError('input', `a tensor cannot be called '${name}' in a safetensors file; rename it`)
    entries.push([
      name,
      { dtype: formatNames[tensor.dtype], shape: tensor.shape, data_offsets: [offset, end] },
    ])
    parts.push(bytes)
    offset = end
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  // the tensors begin at a multiple of eight bytes, as the format's own writer does
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')])
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  return Buffer.concat([length, padded, ...parts])
}

function malformed(source: string, what: string): DdsasError {
  return new DdsasError(
    'data',
    `${source} is not a safetensors file: ${what}; write it again or use another file`,
  )
}

type Header = readonly (readonly [name: string, value: unknown])[]

/** The header's entries; as a list, since a name such as __proto__ would be lost in an object. */
function readHeader(data: Uint8Array, source: string): { header: Header; start: number } {
  if (data.byteLength < 8) throw malformed(source, `${data.byteLength} bytes are too few`)
  const length = Number(Buffer.from(data.buffer, data.byteOffset, 8).readBigUInt64LE())
  if (length > maximalHeader || length > data.byteLength - 8)
    throw malformed(source, `a header of ${length} bytes`)
  const header = parseJson(Buffer.from(data.buffer, data.byteOffset + 8, length).toString('utf8'))
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw malformed(source, 'its header is not a JSON object')
  return { header: Object.entries(header), start: 8 + length }
}

/** Undefined for text that is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

interface Entry {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly range: readonly [start: number, end: number]
}

function checkEntry(name: string, value: unknown, source: string): Entry {
  const entry = entrySchema.safeParse(value)
  if (!entry.success) throw malformed(source, `the entry of '${name}' is malformed`)
  const { dtype: format, shape, data_offsets: range } = entry.data
  const dtype = dtypeOfFormat.get(format)
  if (dtype === undefined) throw malformed(source, `'${name}' has the unknown dtype '${format}'`)
  const wanted = shape.reduce((product, length) => product * length, elementBytes[dtype])
  if (range[1] - range[0] !== wanted || !isCountable(shape))
    throw malformed(source, `'${name}' has bytes ${range[0]} to ${range[1]} for shape [${shape}]`)
  return { name, dtype, shape, range }
}

/** The tensors must cover the file from end to end without sharing a byte, as the format asks. */
function checkCover(entries: readonly Entry[], length: number, source: string): void {
  let covered = 0
  for (const { name, range } of entries.toSorted(
    (a, b) => a.range[0] - b.range[0] || a.range[1] - b.range[1],
  )) {
    if (range[0] !== covered)
      throw malformed(source, `'${name}' begins at byte ${range[0]} instead of ${covered}`)
    covered = range[1]
  }
  if (covered !== length)
    throw malformed(source, `it has ${length} bytes of tensors where its header says ${covered}`)
}

/**
 * Reads a safetensors file; names, sizes and places are checked before a tensor is made. Throws DdsasError 'data' naming `source` and
 * what is wrong.
 */
export function decodeSafetensors(data: Uint8Array, source: string): TensorFile {
  const { header, start } = readHeader(data, source)
  const body = data.subarray(start)
  const given = header.find(([name]) => name === '__metadata__')?.[1] ?? {}
  const metadata = metadataSchema.safeParse(given)
  if (!metadata.success) throw malformed(source, 'its metadata are not text')
  const tensors = header.filter(([name]) => name !== '__metadata__')
  const entries = tensors.map(([name, value]) => checkEntry(name, value, source))
  checkCover(entries, body.byteLength, source)
  const read = ({ name, dtype, shape, range }: Entry) => {
    const bytes = body.subarray(range[0], range[1])
    if (dtype === 'bool' && !areTruthValues(bytes))
      throw malformed(source, `'${name}' has a truth value that is neither 0 nor 1`)
    return [name, Tensor.from(bytes, shape, dtype)] as const
  }
  // in a scope of its own, so that nothing stays behind when one of them is refused
  return { tensors: new Map(tidy(() => entries.map(read))), metadata: metadata.data }
}
