/** The format of torch.save up to PyTorch 1.5: five pickles one after the other, then the storages' bytes. */

import { ByteReader, type Refuse } from '../formats/byte-reader.ts'
import { readPickle } from '../formats/pickle.ts'
import { elementBytes } from '../torch/index.ts'
import { lookUp, type PickleValue } from './pickle-globals.ts'
import { isCount, type StorageId, storageId } from './pytorch-zip.ts'
import { Storage } from './stored-tensor.ts'

/** The value of the first pickle: torch.serialization.MAGIC_NUMBER. */
const magicNumber = 0x1950a86a20f9469cfc6cn
/** The number's bytes, and how far from the beginning they may end: protocol 4 puts a frame before them. */
const magicBytes = Buffer.from('6cfc9c46f9206aa85019', 'hex')
const magicEnd = 32
const protocolOpcode = 0x80
const formatVersion = 1001

/** Whether data begin as a file of this format does. */
export function isLegacyFile(data: Uint8Array): boolean {
  if (data[0] !== protocolOpcode) return false
  return Buffer.from(data.subarray(0, magicEnd)).includes(magicBytes)
}

/** The object saved in a legacy file. Throws what `refuse` makes of what is damaged or not allowed. */
export function readLegacyFile(data: Uint8Array, refuse: Refuse): PickleValue {
  const reader = new ByteReader(data, 0, refuse)
  const next = (persistentLoad?: (id: PickleValue) => PickleValue) =>
    readPickle(reader, { refuse, lookUp, persistentLoad })
  if (next() !== magicNumber) throw refuse('its magic number is another')
  if (next() !== formatVersion) throw refuse(`its format is not version ${formatVersion}`)
  checkSystem(next(), refuse)
  const storages = new StorageTable(refuse)
  const saved = next((id) => storages.refer(storageId(id, refuse)))
  storages.fill(next(), reader)
  return saved
}

function checkSystem(system: PickleValue, refuse: Refuse): void {
  if (!(system instanceof Map) || system.get('little_endian') !== true)
    throw refuse('its numbers are big-endian; save it again on another machine')
}

/** The storages that the pickle refers to; their bytes come after it. */
class StorageTable {
  readonly #refuse: Refuse
  readonly #known = new Map<string, StorageId>()
  readonly #bytes = new Map<string, Uint8Array>()

  constructor(refuse: Refuse) {
    this.#refuse = refuse
  }

  refer(id: StorageId): Storage {
    const known = this.#known.get(id.key) ?? id
    if (known.dtype !== id.dtype || known.elements !== id.elements)
      throw this.#refuse(`its storage ${id.key.slice(0, 40)} has two sizes`)
    this.#known.set(id.key, known)
    const { offset, elements } = this.#part(id)
    const width = elementBytes[id.dtype]
    return new Storage(id.dtype, elements, () => {
      const bytes = this.#bytes.get(id.key)
      if (bytes === undefined) throw this.#refuse(`its storage ${id.key.slice(0, 40)} is missing`)
      return bytes.subarray(offset * width, (offset + elements) * width)
    })
  }

  /** The part of a storage that an identifier means: all of it, or a view (key, offset, elements). */
  #part({ view, elements: all }: StorageId): { offset: number; elements: number } {
    if (view === null || view === undefined) return { offset: 0, elements: all }
    const [, offset, elements] = Array.isArray(view) ? view : []
    if (!isCount(offset) || !isCount(elements) || offset + elements > all)
      throw this.#refuse('it holds a view beyond its storage')
    return { offset, elements }
  }

  /** Each storage as its count of elements in eight bytes, then its bytes, in the order of `keys`. */
  fill(keys: PickleValue, reader: ByteReader): void {
    for (const key of Array.isArray(keys) ? keys : [keys]) {
      const id = typeof key === 'string' ? this.#known.get(key) : undefined
      if (id === undefined || this.#bytes.has(id.key))
        throw this.#refuse('its list of storages names one that is not used, or twice')
      if (reader.size64() !== id.elements)
        throw this.#refuse(`its storage ${id.key.slice(0, 40)} has two sizes`)
      this.#bytes.set(id.key, reader.take(id.elements * elementBytes[id.dtype]))
    }
  }
}
