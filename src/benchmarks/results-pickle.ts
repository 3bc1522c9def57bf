/** The names that pickles of NAS-Bench-201 and NATS-Bench may use: plain data and numbers of NumPy; tensors are passed over. */
import type { Refuse } from '../formats/byte-reader.ts'
import {
  Callable,
  isPlainKey,
  type PickleKey,
  type PickleOptions,
  type PickleValue,
} from '../formats/pickle.ts'

/** numpy.dtype: `f8`, and whether its numbers are little-endian. */
class NumberType {
  readonly code: string
  littleEndian = true

  constructor(code: string) {
    this.code = code
  }
}

export type ResultValue = PickleValue<NumberType>
export type ResultMap = Map<PickleKey, ResultValue>

type Build = (args: readonly ResultValue[], refuse: Refuse) => ResultValue

const readers: Readonly<Record<string, (view: DataView, little: boolean) => number>> = {
  f8: (view, little) => view.getFloat64(0, little),
  f4: (view, little) => view.getFloat32(0, little),
  i8: (view, little) => Number(view.getBigInt64(0, little)),
  i4: (view, little) => view.getInt32(0, little),
}

/** numpy.core.multiarray.scalar(dtype, bytes). */
const scalar: Build = ([type, bytes], refuse) => {
  if (!(type instanceof NumberType) || !(bytes instanceof Uint8Array))
    throw refuse('it holds a NumPy number without its type or bytes')
  const read = readers[type.code]
  if (read === undefined || bytes.length !== Number(type.code[1]))
    throw refuse(`it holds a NumPy number of type ${JSON.stringify(type.code.slice(0, 20))}`)
  return read(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), type.littleEndian)
}

const list: Build = ([items], refuse) => {
  if (items === undefined) return []
  if (Array.isArray(items)) return items
  throw refuse('it holds a set of something other than a list')
}

/** How protocol 2 writes bytes: as text whose characters are the bytes. */
const encode: Build = ([text, encoding], refuse) => {
  if (typeof text === 'string' && encoding === 'latin1') return new Uint8Array(Buffer.from(text, 'latin1'))
  throw refuse('it holds bytes in an encoding other than latin1')
}

const dtype: Build = ([code], refuse) => {
  if (typeof code === 'string') return new NumberType(code)
  throw refuse('it holds a NumPy type without a name')
}

const emptyMap: Build = (args, refuse) => {
  if (args.length === 0) return new Map()
  throw refuse('it holds an OrderedDict as Python 2 writes it')
}

/** Weights say nothing of accuracies. */
const nothing: Build = () => null

const builds: Readonly<Record<string, Build>> = {
  'collections.OrderedDict': emptyMap,
  'builtins.set': list,
  '__builtin__.set': list,
  '_codecs.encode': encode,
  'numpy.dtype': dtype,
  'numpy.core.multiarray.scalar': scalar,
  'numpy._core.multiarray.scalar': scalar,
  'torch._utils._rebuild_tensor': nothing,
  'torch._utils._rebuild_tensor_v2': nothing,
}

const allowed = new Map(Object.entries(builds).map(([name, build]) => [name, new Callable(name, build)]))

/** How such pickles are read; errors are what `refuse` makes. */
export function resultOptions(refuse: Refuse): PickleOptions<NumberType> {
  return {
    refuse,
    lookUp: (module, name) => {
      const full = `${module}.${name}`
      const found = allowed.get(full)
      if (found !== undefined) return found
      if (/^torch\.\w+Storage$/.test(full)) return full
      const shown = JSON.stringify(full.slice(0, 100)).slice(1, -1)
      throw refuse(`it uses ${shown}, which is not among the names allowed for results`)
    },
    persistentLoad: () => null,
    tupleKey,
    setState: (target, state) => {
      if (target instanceof NumberType && Array.isArray(state)) target.littleEndian = state[1] !== '>'
      else if (!(target instanceof Map)) throw refuse('it gives attributes to what has none')
    },
  }
}

/** ('cifar10', 777) as JSON text. */
function tupleKey(items: readonly ResultValue[], refuse: Refuse): string {
  const plain = items.length <= 8 && items.every((item) => isPlainKey(item) && typeof item !== 'bigint')
  if (!plain) throw refuse('it holds a dictionary whose keys are neither text nor numbers')
  return JSON.stringify(items)
}
