/** The zip format of torch.save since PyTorch 1.6: a pickle `data.pkl`, and each storage as an entry `data/KEY`. */

import { ByteReader, type Refuse } from '../formats/byte-reader.ts'
import { readPickle } from '../formats/pickle.ts'
import { ZipArchive } from '../formats/zip-reader.ts'
import { type Dtype, elementBytes } from '../torch/index.ts'
import { lookUp, type PickleValue, StorageType } from './pickle-globals.ts'
import { Storage } from './stored-tensor.ts'

/** What a pickle says of a storage: ('storage', type, key, location, elements, ...). */
export interface StorageId {
  readonly dtype: Dtype
  readonly key: string
  readonly elements: number
  /** The legacy format's view of a part: (key, offset, elements); null or absent elsewhere. */
  readonly view: PickleValue | undefined
}

/** Reads a persistent identifier. Throws what `refuse` makes of anything but a storage's. */
export function storageId(id: PickleValue, refuse: Refuse): StorageId {
  const [kind, type, key, location, elements, view] = Array.isArray(id) ? id : []
  const valid =
    kind === 'storage' &&
    type instanceof StorageType &&
    typeof key === 'string' &&
    typeof location === 'string' &&
    isCount(elements)
  if (!valid) throw refuse('it refers to something that is no storage of numbers')
  return { dtype: type.dtype, key, elements, view }
}

/** Whether a value is a whole number that can count elements. */
export function isCount(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/** The object saved in a zip file. Throws what `refuse` makes of what is damaged or not allowed. */
export function readZipFile(data: Uint8Array, refuse: Refuse): PickleValue {
  const archive = new ZipArchive(data, refuse)
  const folder = folderOf(archive, refuse)
  const order = archive.read(`${folder}/byteorder`)
  if (order !== undefined && Buffer.from(order).toString('latin1') !== 'little')
    throw refuse('its numbers are big-endian; save it again on another machine')
  const pickle = archive.read(`${folder}/data.pkl`) ?? new Uint8Array(0)
  const persistentLoad = (id: PickleValue) => {
    const { dtype, key, elements } = storageId(id, refuse)
    return new Storage(dtype, elements, () => {
      const bytes = archive.read(`${folder}/data/${key}`)
      if (bytes?.length === elements * elementBytes[dtype]) return bytes
      throw refuse(`its storage ${key.slice(0, 40)} is missing or has another size`)
    })
  }
  return readPickle(new ByteReader(pickle, 0, refuse), { refuse, lookUp, persistentLoad })
}

/** All entries stand in one folder, named after the file they were first saved to. */
function folderOf(archive: ZipArchive, refuse: Refuse): string {
  const names = archive.names
  const pickles = names.filter((name) => /^[^/]+\/data\.pkl$/.test(name))
  if (pickles.length !== 1) throw refuse('it is a zip archive without data.pkl, so not of torch.save')
  const folder = pickles[0].slice(0, -'/data.pkl'.length)
  if (names.includes(`${folder}/constants.pkl`))
    throw refuse('it is a TorchScript program, which holds code; save the state_dict of the model instead')
  return folder
}
