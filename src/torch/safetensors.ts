/** The safetensors file format: a JSON header (name -> dtype, shape, byte range), then the tensors' bytes. */
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import { type Dtype, Tensor } from './tensor.ts'

const formatNames: Readonly<Record<string, Dtype>> = {
  U8: 'uint8',
  I32: 'int32',
  I64: 'int64',
  F16: 'float16',
  F32: 'float32',
  F64: 'float64',
  BOOL: 'bool',
  BF16: 'bfloat16',
}
const nameOfDtype = new Map(Object.entries(formatNames).map(([name, dtype]) => [dtype, name]))
const bytesOf: Readonly<Record<Dtype, number>> = {
  uint8: 1,
  int32: 4,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
  bool: 1,
  bfloat16: 2,
}

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
  const header: Record<string, unknown> = Object.keys(metadata).length > 0 ? { __metadata__: metadata } : {}
  const parts: Uint8Array[] = []
  let offset = 0
  for (const [name, tensor] of tensors) {
    const bytes = tensor.bytes()
    const end = offset + bytes.byteLength
    header[name] = { dtype: nameOfDtype.get(tensor.dtype), shape: tensor.shape, data_offsets: [offset, end] }
    parts.push(bytes)
    offset = end
  }
  const json = Buffer.from(JSON.stringify(header))
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

function readHeader(data: Uint8Array, source: string): { header: Record<string, unknown>; start: number } {
  if (data.byteLength < 8) throw malformed(source, `${data.byteLength} bytes are too few`)
  const length = Number(Buffer.from(data.buffer, data.byteOffset, 8).readBigUInt64LE())
  if (length > maximalHeader || length > data.byteLength - 8)
    throw malformed(source, `a header of ${length} bytes`)
  try {
    const header: unknown = JSON.parse(Buffer.from(data.buffer, data.byteOffset + 8, length).toString('utf8'))
    return { header: z.record(z.string(), z.unknown()).parse(header), start: 8 + length }
  } catch {
    throw malformed(source, 'its header is not a JSON object')
  }
}

function readEntry(name: string, value: unknown, body: Uint8Array, source: string): Tensor {
  const entry = entrySchema.safeParse(value)
  if (!entry.success) throw malformed(source, `the entry of '${name}' is malformed`)
  const { dtype, shape, data_offsets: range } = entry.data
  const known = formatNames[dtype]
  if (known === undefined) throw malformed(source, `'${name}' has the unknown dtype '${dtype}'`)
  const wanted = shape.reduce((product, length) => product * length, bytesOf[known])
  if (range[1] > body.byteLength || range[1] - range[0] !== wanted)
    throw malformed(source, `'${name}' has bytes ${range[0]} to ${range[1]} for shape [${shape}]`)
  return Tensor.from(body.subarray(range[0], range[1]), shape, known)
}

/** Reads a safetensors file; every size is checked. Throws DdsasError 'data' naming `source` and what is wrong. */
export function decodeSafetensors(data: Uint8Array, source: string): TensorFile {
  const { header, start } = readHeader(data, source)
  const body = data.subarray(start)
  const tensors = new Map<string, Tensor>()
  for (const [name, value] of Object.entries(header))
    if (name !== '__metadata__') tensors.set(name, readEntry(name, value, body, source))
  const metadata = metadataSchema.safeParse(header.__metadata__ ?? {})
  if (!metadata.success) throw malformed(source, 'its metadata are not text')
  return { tensors, metadata: metadata.data }
}
