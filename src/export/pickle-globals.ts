/** The only names a pickle may use: what PyTorch writes for tensors and plain data. None of them runs code of a file. */
import type { Refuse } from '../formats/byte-reader.ts'
import { Callable, type PickleValue as Pickled } from '../formats/pickle.ts'
import type { Dtype } from '../torch/index.ts'
import { maxDimensions, Storage, StoredTensor, storageTypes } from './stored-tensor.ts'

/** What a pickle of PyTorch is made of. */
export type PickleValue = Pickled<Storage | StoredTensor | StorageType>

type Build = (args: readonly PickleValue[], refuse: Refuse) => PickleValue

/** A storage class of PyTorch: the element type of the storages that name it. */
export class StorageType {
  readonly dtype: Dtype

  constructor(dtype: Dtype) {
    this.dtype = dtype
  }
}

const callables: Readonly<Record<string, Build>> = {
  'collections.OrderedDict': (args, refuse) => {
    if (args.length === 0) return new Map()
    throw refuse('it holds an OrderedDict as Python 2 writes it')
  },
  'torch._utils._rebuild_tensor': (args, refuse) => rebuildTensor(args, refuse),
  'torch._utils._rebuild_tensor_v2': (args, refuse) => rebuildTensor(args, refuse),
  'torch._utils._rebuild_parameter': ([data], refuse) => {
    if (data instanceof StoredTensor) return data
    throw refuse('it holds a parameter without a tensor')
  },
  'torch.Size': ([sizes], refuse) => arrayOf(sizes, 'torch.Size', refuse),
  'torch.device': ([type, index]) =>
    typeof index === 'number' ? `${String(type)}:${index}` : String(type ?? ''),
  'builtins.set': ([items], refuse) => arrayOf(items, 'set', refuse),
  '__builtin__.set': ([items], refuse) => arrayOf(items, 'set', refuse),
}

/** Element types stand for themselves in the data of a checkpoint. */
const dtypeNames = [
  'uint8',
  'int8',
  'int16',
  'int32',
  'int64',
  'float16',
  'bfloat16',
  'float32',
  'float64',
  'bool',
]

const allowed = new Map<string, PickleValue>([
  ...Object.entries(callables).map(([name, build]) => [name, new Callable(name, build)] as const),
  ...Object.entries(storageTypes).map(([name, dtype]) => [`torch.${name}`, new StorageType(dtype)] as const),
  ...dtypeNames.map((name) => [`torch.${name}`, `torch.${name}`] as const),
])

/** What an allowed name stands for. Throws what `refuse` makes of any other, naming it. */
export function lookUp(module: string, name: string, refuse: Refuse): PickleValue {
  const found = allowed.get(`${module}.${name}`)
  if (found !== undefined) return found
  const shown = JSON.stringify(`${module}.${name}`.slice(0, 100)).slice(1, -1)
  throw refuse(
    `it uses ${shown}, which is not among the names allowed for weights; save model.state_dict() and plain numbers`,
  )
}

function arrayOf(value: PickleValue | undefined, name: string, refuse: Refuse): PickleValue[] {
  if (Array.isArray(value)) return value
  throw refuse(`it holds a ${name} of something other than a list`)
}

/** The sizes or strides of a tensor; whether they are whole and fit is checked by StoredTensor. */
function numbersOf(value: PickleValue | undefined, refuse: Refuse): number[] {
  const items = arrayOf(value, 'shape', refuse)
  if (items.length > maxDimensions) throw refuse(`it holds a tensor of ${items.length} dimensions`)
  return items.map((item) => (typeof item === 'number' ? item : Number.NaN))
}

/** torch._utils._rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, backward_hooks). */
function rebuildTensor(args: readonly PickleValue[], refuse: Refuse): StoredTensor {
  const [storage, offset, shape, strides] = args
  if (!(storage instanceof Storage) || typeof offset !== 'number')
    throw refuse('it holds a tensor without a storage')
  return new StoredTensor(
    storage,
    { offset, shape: numbersOf(shape, refuse), strides: numbersOf(strides, refuse) },
    refuse,
  )
}
