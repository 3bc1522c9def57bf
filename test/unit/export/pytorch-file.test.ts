/** The reader of PyTorch files: what it reads, and pickles and storages that it must refuse. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isPytorchFile, readPytorchFile } from '../../../src/export/pytorch-file.ts'
import { StoredTensor } from '../../../src/export/stored-tensor.ts'
import { liveSlots, type Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import {
  bytes,
  dict,
  floats,
  int,
  legacyFile,
  pickle,
  storage,
  tensor,
  text,
  tuple,
  uint32,
  zipFile,
} from './pickles.ts'

const refuses = (data: Uint8Array, ...patterns: RegExp[]) => {
  const before = liveSlots()
  assertRefuses(() => readPytorchFile(data, 'the.file'), 'data', /^the\.file cannot be read/, ...patterns)
  assert.equal(liveSlots(), before, 'tensors are left over')
}

const matrix = { shape: [2, 3], strides: [3, 1] }
const weights = pickle(dict({ weight: tensor(matrix) }))

function valuesOf(tensors: ReadonlyMap<string, Tensor>): Record<string, number[]> {
  return Object.fromEntries([...tensors].map(([name, found]) => [name, [...found.floats()]]))
}

/** Values of the one tensor of a state dict. */
function read(data: Uint8Array): { shape: readonly number[]; values: number[] } {
  return tidy(() => {
    const { tensors } = readPytorchFile(data, 'the.file')
    const [found] = tensors.values()
    assert.ok(found)
    return { shape: found.shape, values: [...found.floats()] }
  })
}

test('a state dict in either format', () => {
  for (const data of [zipFile(weights), legacyFile(weights)]) {
    assert.ok(isPytorchFile(data))
    tidy(() => {
      const { tensors, other } = readPytorchFile(data, 'the.file')
      assert.deepEqual([...tensors.keys()], ['weight'])
      assert.deepEqual(valuesOf(tensors), { weight: [0, 1, 2, 3, 4, 5] })
      assert.equal(other.size, 0)
    })
  }
})

test('tensors that are not row-major, begin within their storage, repeat elements or have none', () => {
  const one = (shape: number[], strides: number[], offset = 0) =>
    read(zipFile(pickle(dict({ x: tensor({ shape, strides, offset }) }))))
  assert.deepEqual(one([3, 2], [1, 3]), { shape: [3, 2], values: [0, 3, 1, 4, 2, 5] })
  assert.deepEqual(one([2], [2], 1), { shape: [2], values: [1, 3] })
  assert.deepEqual(one([2, 2], [0, 1], 4), { shape: [2, 2], values: [4, 5, 4, 5] })
  assert.deepEqual(one([], [], 5), { shape: [], values: [5] })
  assert.deepEqual(one([1, 2], [77, 1]), { shape: [1, 2], values: [0, 1] })
  assert.deepEqual(one([2, 0], [1, 1], 6), { shape: [2, 0], values: [] })
  assert.deepEqual(
    read(
      legacyFile(
        pickle(dict({ x: tensor({ shape: [2], strides: [1], view: tuple(text('v'), int(3), int(2)) }) })),
      ),
    ),
    {
      shape: [2],
      values: [3, 4],
    },
  )
})

test('parameters and tensors that share a storage', () => {
  const parameter = bytes('ctorch._utils\n_rebuild_parameter\n', tuple(tensor(matrix), 0x88, '}'), 'R')
  const row = tensor({ shape: [3], strides: [1], offset: 3 })
  tidy(() => {
    const { tensors } = readPytorchFile(zipFile(pickle(dict({ a: parameter, b: row }))), 'the.file')
    assert.deepEqual(valuesOf(tensors), { a: [0, 1, 2, 3, 4, 5], b: [3, 4, 5] })
  })
})

test('a checkpoint: its state dict without the prefix of DataParallel, and plain data beside it', () => {
  const group = dict({ lr: bytes('G', Buffer.from('3f9999999999999a', 'hex')), nesterov: 0x89 })
  const data = dict({
    epoch: int(-3),
    best: 'N',
    large: bytes(0x8a, 9, Buffer.from('000000000000000001', 'hex')),
    state_dict: dict({
      'module.weight': tensor(matrix),
      'module.bias': tensor({ shape: [1], strides: [1] }),
    }),
    dtype: bytes('ctorch\nbfloat16\n'),
    device: bytes('ctorch\ndevice\n', tuple(text('cuda'), int(1)), 'R'),
    size: bytes('ctorch\nSize\n', tuple(tuple(int(2))), 'R'),
    optimizer: dict({ momentum: tensor(matrix), groups: bytes('](', group, 'e') }),
  })
  tidy(() => {
    const { tensors, other } = readPytorchFile(zipFile(pickle(data)), 'the.file')
    assert.deepEqual([...tensors.keys()], ['weight', 'bias'])
    assert.deepEqual([other.get('epoch'), other.get('best'), other.get('large')], [-3, null, 2n ** 64n])
    assert.deepEqual([other.get('dtype'), other.get('device')], ['torch.bfloat16', 'cuda:1'])
    assert.deepEqual(other.get('size'), [2])
    const optimizer = other.get('optimizer')
    assert.ok(optimizer instanceof Map)
    assert.deepEqual(optimizer.get('groups'), [
      new Map<string, unknown>([
        ['lr', 0.025],
        ['nesterov', false],
      ]),
    ])
    const momentum = optimizer.get('momentum')
    assert.ok(momentum instanceof StoredTensor)
    assert.deepEqual([momentum.dtype, momentum.shape], ['float32', [2, 3]])
    assert.deepEqual([...momentum.read().floats()], [0, 1, 2, 3, 4, 5])
  })
})

test('opcodes of protocol 4, and names that JavaScript would treat as special', () => {
  const short = (value: string) => bytes(0x8c, value.length, value)
  const item = bytes(
    ...[short('torch._utils'), short('_rebuild_tensor_v2'), 0x93, '((', short('storage'), 0x94],
    ...[short('torch'), short('FloatStorage'), 0x93, short('0'), short('cpu'), 'K', 6, 'tQ', 'K', 0],
    ...['K', 6, 0x85, 'K', 1, 0x85, 0x89, 'N', 'tR'],
  )
  const data = bytes(
    0x80,
    4,
    0x95,
    uint32(0),
    uint32(0),
    '}(',
    short('__proto__'),
    item,
    short('constructor'),
    item,
    'u.',
  )
  tidy(() => {
    const { tensors } = readPytorchFile(zipFile(data), 'the.file')
    assert.deepEqual([...tensors.keys()], ['__proto__', 'constructor'])
  })
})

test('names that are not allowed are refused, and nothing is run', () => {
  const trace = join(tmpdir(), `ddsas-hostile-${process.pid}`)
  const command = text(`touch ${trace}`)
  for (const [module, name] of [
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['__builtin__', 'getattr'],
    ['torch', 'load'],
    ['torch._utils', '_rebuild_tensor_v2.__globals__'],
    ['constructor', 'constructor'],
    ['', '__proto__'],
    ['__main__', 'Network'],
    ['numpy.core.multiarray', 'scalar'],
  ] as const) {
    const pattern = new RegExp(`it uses ${`${module}.${name}`.replaceAll('.', '[.]')}, which`)
    const call = bytes(`c${module}\n${name}\n`, command, 0x85, 'R')
    refuses(zipFile(pickle(call)), pattern, /save model\.state_dict/)
    refuses(legacyFile(pickle(call)), pattern)
    refuses(zipFile(pickle(dict({ weight: tensor(matrix), x: bytes(`c${module}\n${name}\n`) }))), pattern)
    refuses(zipFile(pickle(text(module), text(name), 0x93, command, 0x85, 'R')), pattern)
  }
  assert.ok(!existsSync(trace))
})

test('opcodes that PyTorch does not write are refused', () => {
  refuses(zipFile(pickle(bytes('I1\n'))), /opcode 0x49 at byte 2/)
  refuses(zipFile(pickle(bytes('(iposix\nsystem\n'))), /opcode 0x69/)
  refuses(zipFile(pickle(bytes('(', 'o'))), /opcode 0x6f/)
  refuses(zipFile(pickle(bytes(0x82, 1))), /opcode 0x82/)
  refuses(zipFile(bytes(0x80, 9, '}.')), /protocol 9/)
})

test('a pickle that is damaged in itself', () => {
  for (const [body, pattern] of [
    [bytes('t'), /no mark/],
    [bytes('(', 'Q'), /more values than it has/],
    [bytes('h', 7), /uses the value 7/],
    [bytes('}', 'N', 'a'), /appends to what is no list/],
    [bytes(']', 'NN', 's'), /sets a key of what is no dictionary/],
    [bytes('}(', 'N', 'u'), /key without a value/],
    [bytes('}', '}', 'N', 's'), /keys are neither text nor numbers/],
    [bytes('}', '}'), /values left over/],
    [bytes('}', 'R'), /more values|called/],
    [bytes('}', ')', 'R'), /calls what cannot be called/],
    [bytes('X', uint32(99), 'abc'), /truncated/],
    [bytes('X', uint32(2), 0xff, 0xfe), /not UTF-8/],
    [bytes(0x8b, uint32(1000), new Uint8Array(1000)), /integer of 1000 bytes/],
    [bytes('cposix'), /no end/],
    [bytes('ccollections\nOrderedDict\n', '}', 'R'), /calls/],
    [bytes('ccollections\nOrderedDict\n', tuple(']'), 'R'), /Python 2/],
    [bytes('ctorch\nSize\n', tuple(int(1)), 'R'), /torch\.Size/],
    [text('weights'), /no dictionary/],
    [dict({ epoch: int(1) }), /no state dict/],
    [dict({ model: dict({ a: tensor(matrix), b: int(1) }) }), /its model holds 'b'/],
    [dict({ a: tensor(matrix), b: bytes('ccollections\nOrderedDict\n') }), /a type or a storage/],
  ] as const)
    refuses(zipFile(pickle(body)), pattern)
})

test('tensors that reach beyond their storage, or cannot be', () => {
  const one = (parts: Parameters<typeof tensor>[0]) => zipFile(pickle(dict({ x: tensor(parts) })))
  refuses(one({ shape: [7], strides: [1] }), /beyond its 6 elements/)
  refuses(one({ shape: [2, 3], strides: [4, 1] }), /beyond/)
  refuses(one({ shape: [1], strides: [1], offset: 6 }), /beyond/)
  refuses(one({ shape: [0], strides: [1], offset: 7 }), /beyond/)
  refuses(one({ shape: [-1], strides: [1] }), /shape \[-1\]/)
  refuses(one({ shape: [2], strides: [-1], offset: 3 }), /strides \[-1\]/)
  refuses(one({ shape: [2], strides: [1, 1] }), /strides/)
  refuses(one({ shape: [1], strides: [1], offset: -1 }), /shape/)
  refuses(one({ shape: Array.from({ length: 65 }, () => 1), strides: [] }), /65 dimensions/)
  const maximal = Array.from({ length: 4 }, () => 0x7fffffff)
  refuses(one({ shape: maximal, strides: [0, 0, 0, 0] }), /shape/)
  refuses(one({ shape: [0x7fffffff], strides: [0] }), /would take 8589934588 bytes/)
  refuses(
    zipFile(
      pickle(dict({ x: tensor(matrix), o: bytes(']', tensor({ shape: [0x7fffffff], strides: [0] }), 'a') })),
    ),
    /tensor of 8589934588/,
  )
})

test('storages that are missing, of another size or of another kind', () => {
  refuses(zipFile(weights, {}), /storage 0 is missing/)
  refuses(zipFile(weights, { 0: floats(1) }), /storage 0 is missing or has another size/)
  refuses(zipFile(pickle(dict({ x: tensor({ ...matrix, elements: -1 }) }))), /no storage of numbers/)
  refuses(
    zipFile(pickle(dict({ x: tensor({ ...matrix, type: 'ComplexFloatStorage' }) }))),
    /torch\.ComplexFloatStorage/,
  )
  refuses(zipFile(pickle(text('0'), 'Q')), /no storage/)
  const flags = zipFile(pickle(dict({ x: tensor({ type: 'BoolStorage', shape: [6], strides: [1] }) })), {
    0: Uint8Array.of(0, 1, 0, 1, 2, 0),
  })
  refuses(flags, /neither 0 nor 1/)
})

test('legacy files whose parts do not agree', () => {
  refuses(legacyFile(weights, [['0', 5, floats(1, 2, 3, 4, 5)]]), /two sizes/)
  refuses(legacyFile(weights, []), /storage 0 is missing/)
  refuses(legacyFile(weights, [['1', 6, floats()]]), /not used, or twice/)
  refuses(legacyFile(weights, [['0', 6, floats(1)]]), /truncated/)
  refuses(legacyFile(weights, undefined, false), /big-endian/)
  const view = tuple(text('v'), int(4), int(3))
  refuses(legacyFile(pickle(dict({ x: tensor({ shape: [2], strides: [1], view }) }))), /view beyond/)
  const two = dict({ a: tensor(matrix), b: tensor({ ...matrix, elements: 7 }) })
  refuses(legacyFile(pickle(two)), /two sizes/)
})

test('shapes that cannot be counted, without an element', () => {
  const long = (value: number) => {
    const digits = Buffer.alloc(8)
    digits.writeBigInt64LE(BigInt(value))
    return bytes(0x8a, 8, digits)
  }
  const shaped = (...shape: number[]) => {
    const sizes = tuple(...shape.map(long))
    const args = tuple(storage({}), int(0), sizes, sizes, 0x89, 'N')
    return zipFile(pickle(dict({ x: bytes('ctorch._utils\n_rebuild_tensor_v2\n', args, 'R') })))
  }
  refuses(shaped(2 ** 40, 2 ** 40, 0), /a tensor of shape \[1099511627776,1099511627776,0\]/)
  refuses(shaped(2 ** 52, 0), /a tensor of shape/)
  assert.deepEqual(read(shaped(2 ** 20, 0)), { shape: [2 ** 20, 0], values: [] })
})

test('two keys of one name, of which one would be lost', () => {
  const one = tensor({ shape: [1], strides: [1] })
  const both = bytes('}(', text('1'), one, int(1), tensor(matrix), 'u')
  refuses(zipFile(pickle(both)), /two of its keys have the same name/)
  refuses(zipFile(pickle(dict({ state_dict: both }))), /two of its keys have the same name/)
})

test('a text longer than any name', () => {
  const long = bytes('X', uint32(2 ** 24 + 1), Buffer.alloc(2 ** 24 + 1, 'a'))
  refuses(
    zipFile(pickle(dict({ x: tensor(matrix), note: long }))),
    /the text at byte \d+ is 16777217 bytes long/,
  )
})

test('names without the prefixes of wrappers, where all have them', () => {
  const names = (...list: string[]) => {
    const entries = Object.fromEntries(list.map((name) => [name, tensor(matrix)]))
    const saved = zipFile(pickle(dict({ state_dict: dict(entries) })))
    return tidy(() => [...readPytorchFile(saved, 'the.file').tensors.keys()])
  }
  assert.deepEqual(names('module.a', 'module.b'), ['a', 'b'])
  assert.deepEqual(names('_orig_mod.a', '_orig_mod.b'), ['a', 'b'])
  assert.deepEqual(names('module._orig_mod.a', 'module._orig_mod.b'), ['a', 'b'])
  assert.deepEqual(names('module.a', 'b'), ['module.a', 'b'])
  assert.deepEqual(names(`${'module.'.repeat(100_000)}a`).length, 1)
})

test('data that hold themselves, or one list a million times, end', () => {
  const self = bytes(']', 'q', 0, 'h', 0, 'a')
  refuses(zipFile(pickle(dict({ x: tensor(matrix), self }))), /nested without end/)
  const twice = Array.from({ length: 22 }, (_, level) => bytes(0x85, 'q', level, 'h', level, 0x86))
  refuses(zipFile(pickle(dict({ x: tensor(matrix), bomb: bytes(']', ...twice) }))), /nested without end/)
})

test('files of another kind', () => {
  refuses(Buffer.from('not a file of PyTorch'), /neither its zip format nor/)
  refuses(new Uint8Array(0), /neither/)
  refuses(zipFile(weights, {}, { 'constants.pkl': '' }), /TorchScript/)
  refuses(zipFile(weights, undefined, { byteorder: 'big' }), /big-endian/)
  assert.equal(isPytorchFile(Buffer.from('PK')), false)
})
