/** Reads what torch.save wrote, with an allow-list in place of Python: tensors and plain data, and never code. */
import { DdsasError } from '../errors.ts'
import type { Refuse } from '../formats/byte-reader.ts'
import type { PickleKey } from '../formats/pickle.ts'
import { allowance } from '../formats/zip-reader.ts'
import { type Tensor, tidy } from '../torch/index.ts'
import type { PickleValue } from './pickle-globals.ts'
import { isLegacyFile, readLegacyFile } from './pytorch-legacy.ts'
import { readZipFile } from './pytorch-zip.ts'
import { StoredTensor } from './stored-tensor.ts'

/** Plain data of a checkpoint; tensors outside the state dict are not read until asked for. */
export type PlainData =
  | null
  | boolean
  | number
  | bigint
  | string
  | StoredTensor
  | readonly PlainData[]
  | ReadonlyMap<PickleKey, PlainData>

export interface PytorchFile {
  /** The state dict by PyTorch's names, on the CPU in row-major order. */
  readonly tensors: Map<string, Tensor>
  /** Everything else in the file by its key, such as `epoch` or the optimizer's state. */
  readonly other: ReadonlyMap<string, PlainData>
}

/** Keys under which training scripts keep the state dict. */
const stateDictKeys = ['state_dict', 'model', 'model_state_dict', 'network', 'net']

/** The walk over plain data ends here: a pickle can hold itself, or one list a billion times. */
const limits = { depth: 50, items: 1_000_000 } as const

/** What torch.nn.DataParallel (and its distributed kin) and torch.compile put before each name. */
const wrapperPrefixes = ['module.', '_orig_mod.']
/** More than anyone puts around one another. */
const maxWrappers = 4

/**
 * Reads a file of torch.save: the zip format of PyTorch 1.6 and later, or the legacy format before it.
 * @param source names the file in errors.
 * @returns the state dict (also one under 'state_dict', 'model', ...; the names without the `module.` of
 * torch.nn.DataParallel and the `_orig_mod.` of torch.compile) and all other data.
 * @throws {DdsasError} `data`, naming the source and what is wrong: a name that is not allowed (no code of the file is
 * ever run), damage, or no state dict.
 */
export function readPytorchFile(data: Uint8Array, source: string): PytorchFile {
  const refuse: Refuse = (what) =>
    new DdsasError('data', `${source} cannot be read as PyTorch weights: ${what}`)
  const { state, rest } = findStateDict(readSaved(data, refuse), refuse)
  checkSize(state, data.length, refuse)
  const walk = { refuse, bytes: allowance(data.length), items: limits.items }
  const other = [...rest].map(([key, value]) => [key, plain(value, walk, 0)] as const)
  // in a scope of its own, so that nothing stays behind when one of them is damaged
  const read = tidy(() => [...state.values()].map((tensor) => tensor.read()))
  return {
    tensors: new Map([...state.keys()].map((name, index) => [name, read[index]])),
    other: new Map(other),
  }
}

/** Whether data begin as a file of torch.save does. */
export function isPytorchFile(data: Uint8Array): boolean {
  return isZip(data) || isLegacyFile(data)
}

function isZip(data: Uint8Array): boolean {
  return data.length >= 4 && Buffer.from(data.buffer, data.byteOffset, 4).toString('latin1') === 'PK\x03\x04'
}

function readSaved(data: Uint8Array, refuse: Refuse): PickleValue {
  if (isZip(data)) return readZipFile(data, refuse)
  if (isLegacyFile(data)) return readLegacyFile(data, refuse)
  throw refuse('it is no file of torch.save (neither its zip format nor the one before PyTorch 1.6)')
}

interface Found {
  readonly state: ReadonlyMap<string, StoredTensor>
  readonly rest: ReadonlyMap<string, PickleValue>
}

/** The state dict of a checkpoint, or the saved dictionary itself; and what stands beside it. */
function findStateDict(saved: PickleValue, refuse: Refuse): Found {
  if (!(saved instanceof Map)) throw refuse('it holds no dictionary; save model.state_dict()')
  const top = byText(saved, refuse)
  for (const key of stateDictKeys) {
    const nested = top.get(key)
    if (!(nested instanceof Map) || !hasTensors(nested)) continue
    top.delete(key)
    const strange = [...nested].find(([, value]) => !(value instanceof StoredTensor))
    if (strange !== undefined) throw refuse(`its ${key} holds '${strange[0]}', which is no tensor`)
    return { state: withoutPrefixes(tensorsOf(nested, refuse)), rest: top }
  }
  if (!hasTensors(top)) throw refuse('it holds no state dict; save model.state_dict()')
  const rest = [...top].filter(([, value]) => !(value instanceof StoredTensor))
  return { state: withoutPrefixes(tensorsOf(top, refuse)), rest: new Map(rest) }
}

function hasTensors(dictionary: ReadonlyMap<PickleKey, PickleValue>): boolean {
  return [...dictionary.values()].some((value) => value instanceof StoredTensor)
}

/** Keys as text; 1 and '1' are two keys in Python, of which one would be lost. */
function byText(dictionary: ReadonlyMap<PickleKey, PickleValue>, refuse: Refuse): Map<string, PickleValue> {
  const found = new Map([...dictionary].map(([key, value]) => [String(key), value] as const))
  if (found.size === dictionary.size) return found
  throw refuse('two of its keys have the same name')
}

function tensorsOf(
  dictionary: ReadonlyMap<PickleKey, PickleValue>,
  refuse: Refuse,
): Map<string, StoredTensor> {
  const entries = [...byText(dictionary, refuse)]
  return new Map(
    entries.flatMap(([name, value]) => (value instanceof StoredTensor ? [[name, value] as const] : [])),
  )
}

/** Names without what wrappers around the model put before all of them. */
function withoutPrefixes(state: ReadonlyMap<string, StoredTensor>): Map<string, StoredTensor> {
  let entries = [...state]
  for (let wrappers = 0; wrappers < maxWrappers; wrappers++) {
    const prefix = wrapperPrefixes.find((text) => entries.every(([name]) => name.startsWith(text)))
    if (prefix === undefined) break
    entries = entries.map(([name, tensor]) => [name.slice(prefix.length), tensor])
  }
  return new Map(entries)
}

/** A few bytes can describe a tensor of any size: strides may be zero, and storages shared. */
function checkSize(state: ReadonlyMap<string, StoredTensor>, bytes: number, refuse: Refuse): void {
  const total = [...state.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
  if (total > allowance(bytes)) throw refuse(`its tensors would take ${total} bytes of a file of ${bytes}`)
}

/** How much a copy of plain data may hold: items in all, bytes in a tensor. */
interface Walk {
  readonly refuse: Refuse
  readonly bytes: number
  items: number
}

/** A copy of plain data: a tree, whatever the pickle shared. */
function plain(value: PickleValue, walk: Walk, depth: number): PlainData {
  walk.items -= 1
  if (depth > limits.depth || walk.items < 0) throw walk.refuse('its data are nested without end')
  if (Array.isArray(value)) return value.map((item) => plain(item, walk, depth + 1))
  if (value instanceof Map)
    return new Map([...value].map(([key, item]) => [key, plain(item, walk, depth + 1)] as const))
  if (value instanceof StoredTensor && value.byteLength > walk.bytes)
    throw walk.refuse(`it holds a tensor of ${value.byteLength} bytes`)
  if (typeof value !== 'object' || value === null || value instanceof StoredTensor) return value
  throw walk.refuse('it holds a type or a storage where data must be')
}
