/** The safetensors format: round trips of every element type, and hostile files, none of which may pass or crash. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type Dtype,
  decodeSafetensors,
  dtypes,
  elementBytes,
  encodeSafetensors,
  liveSlots,
  Tensor,
  tidy,
} from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

const names = Object.keys(dtypes) as Dtype[]

/** A file of a header (JSON where not a string) and the bytes after it. */
function file(header: unknown, body = new Uint8Array(0)): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, body])
}

const entry = (dtype: unknown, shape: unknown, data_offsets: unknown) => ({ dtype, shape, data_offsets })

const refuses = (data: Uint8Array, ...patterns: RegExp[]) =>
  tidy(() => assertRefuses(() => decodeSafetensors(data, 'the.file'), 'data', /the\.file/, ...patterns))

interface Held {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
}

const tensorsToHold: fc.Arbitrary<Held[]> = fc.uniqueArray(
  fc.record({
    name: fc.string({ unit: 'binary' }).filter((name) => name !== '__metadata__' && name !== '__proto__'),
    dtype: fc.constantFrom(...names),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
  }),
  { selector: ({ name }) => name, maxLength: 6 },
)

const texts = fc.dictionary(
  fc.string().filter((key) => key !== '__proto__'),
  fc.string(),
  { noNullPrototype: true },
)

function make({ dtype, shape }: Held, seed: number): Tensor {
  const count = shape.reduce((product, length) => product * length, elementBytes[dtype])
  const bytes = Uint8Array.from({ length: count }, (_, i) => (seed + 53 * i) % (dtype === 'bool' ? 2 : 256))
  return Tensor.from(bytes, shape, dtype)
}

test('tensors of every type, shape and name, and metadata, come back as they were', () => {
  fc.assert(
    fc.property(tensorsToHold, texts, fc.nat(255), (held, metadata, seed) => {
      tidy(() => {
        const tensors = held.map((wanted) => [wanted.name, make(wanted, seed)] as const)
        const read = decodeSafetensors(encodeSafetensors(tensors, metadata), 'x')
        assert.deepEqual(read.metadata, metadata)
        assert.deepEqual([...read.tensors.keys()].sort(), held.map(({ name }) => name).sort())
        for (const [name, tensor] of tensors) {
          const got = read.tensors.get(name)
          assert.deepEqual([got?.dtype, got?.shape], [tensor.dtype, tensor.shape])
          assert.deepEqual(got?.bytes(), tensor.bytes())
        }
      })
    }),
    { numRuns: 100 },
  )
})

test('the layout is the published one: length, JSON with byte ranges, bytes in order from a multiple of eight', () => {
  tidy(() => {
    const a = Tensor.from(Uint8Array.of(1, 2, 3), [3])
    const b = Tensor.from(Float32Array.of(1.5), [1, 1])
    const data = Buffer.from(
      encodeSafetensors(
        [
          ['a', a],
          ['b', b],
        ],
        { format: 'pt' },
      ),
    )
    const length = Number(data.readBigUInt64LE())
    assert.equal(length % 8, 0)
    assert.deepEqual(JSON.parse(data.subarray(8, 8 + length).toString()), {
      __metadata__: { format: 'pt' },
      a: entry('U8', [3], [0, 3]),
      b: entry('F32', [1, 1], [3, 7]),
    })
    assert.deepEqual([...data.subarray(8 + length)], [1, 2, 3, 0, 0, 0xc0, 0x3f])
  })
})

test('bytes at an offset that no element type is aligned to are read right', () => {
  const body = new Uint8Array(9)
  new DataView(body.buffer).setFloat64(1, Math.PI, true)
  tidy(() => {
    const padding = entry('U8', [1], [0, 1])
    const { tensors } = decodeSafetensors(file({ padding, x: entry('F64', [1], [1, 9]) }, body), 'x')
    assert.equal(tensors.get('x')?.item(), Math.PI)
  })
})

test('an empty file of tensors is a file', () => {
  assert.deepEqual(decodeSafetensors(file('{}'), 'x'), { tensors: new Map(), metadata: {} })
})

test('a file cut anywhere is refused', () => {
  tidy(() => {
    const whole = encodeSafetensors([['x', Tensor.from(Float32Array.of(1, 2), [2])]])
    for (let length = 0; length < whole.length; length++) refuses(whole.subarray(0, length))
  })
})

test('a header longer than the file, or than any header may be, is refused before it is read', () => {
  for (const length of [1n, 17n, 100_000_001n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    const data = Buffer.alloc(8)
    data.writeBigUInt64LE(length)
    refuses(data, new RegExp(`a header of ${Number(length)} bytes`))
  }
})

test('a header that is no JSON object is refused', () => {
  const open = '['.repeat(50_000)
  for (const header of ['', '{', 'null', '7', '"x"', '[]', '[{}]', 'true', '{"a":1}}', open])
    refuses(file(header), /JSON object/)
})

const bad: readonly [what: string, given: unknown][] = [
  ['no object', 7],
  ['null', null],
  ['no fields', {}],
  ['dtype no text', entry(6, [1], [0, 4])],
  ['shape no list', entry('F32', 1, [0, 4])],
  ['negative length', entry('F32', [-1], [0, 4])],
  ['two negative lengths', entry('F32', [-1, -1], [0, 4])],
  ['fractional length', entry('F32', [0.5, 2], [0, 4])],
  ['length as text', entry('F32', ['1'], [0, 4])],
  ['length beyond whole numbers', entry('F32', [1e300], [0, 4])],
  ['one offset', entry('F32', [1], [4])],
  ['three offsets', entry('F32', [1], [0, 4, 8])],
  ['negative offset', entry('F32', [1], [-4, 0])],
  ['fractional offset', entry('F32', [1], [0.5, 4.5])],
  ['offsets in the wrong order', entry('F32', [1], [8, 4])],
  ['offsets beyond the data', entry('F32', [1], [8, 12])],
  ['offsets partly beyond the data', entry('F32', [2], [1, 9])],
  ['huge offsets', entry('F32', [1], [2 ** 53 - 5, 2 ** 53 - 1])],
  ['too few bytes for the shape', entry('F32', [2], [0, 4])],
  ['too many bytes for the shape', entry('F32', [1], [0, 8])],
  ['bytes for an empty shape', entry('F32', [0], [0, 4])],
  ['a product that overflows', entry('U8', [2 ** 31, 2 ** 31, 4], [0, 0])],
  ['an unknown dtype', entry('F8_E4M3', [1], [0, 1])],
  ["our own dtype's name", entry('float32', [1], [0, 4])],
  ['a dtype every object has', entry('constructor', [1], [0, 4])],
  ['the dtype __proto__', entry('__proto__', [1], [0, 4])],
]

test('a malformed entry is refused, naming the tensor', () => {
  for (const [what, given] of bad) {
    const data = file({ 'layer.weight': given }, new Uint8Array(8))
    assert.doesNotThrow(() => refuses(data, /'layer\.weight'/), what)
  }
})

test('an unknown element type is refused by its name', () => {
  refuses(
    file({ x: entry('F8_E4M3', [1], [0, 1]) }, new Uint8Array(8)),
    /'x' has the unknown dtype 'F8_E4M3'/,
  )
})

test('metadata that are no texts are refused', () => {
  for (const given of [7, 'x', [1], { a: 1 }, { a: null }]) refuses(file({ __metadata__: given }), /metadata/)
})

test('arbitrary JSON and arbitrary bytes give a file of tensors or a refusal, never another error', () => {
  const anything = fc.oneof(
    fc.json().map((json) => file(json, new Uint8Array(8))),
    fc.dictionary(fc.string(), fc.jsonValue()).map((header) => file(header, new Uint8Array(8))),
    fc.uint8Array({ maxLength: 64 }),
  )
  fc.assert(
    fc.property(anything, (data) => {
      try {
        tidy(() => decodeSafetensors(data, 'x').tensors.size)
      } catch (error) {
        assertRefuses(() => {
          throw error
        }, 'data')
      }
    }),
    { numRuns: 300 },
  )
})

test("hostile names pollute nothing: an entry's or the metadata's __proto__ is not followed", () => {
  const inherited = '{"a":{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}'
  refuses(file(inherited, new Uint8Array(1)), /'a'/)
  const { metadata } = decodeSafetensors(file('{"__metadata__":{"__proto__":{"polluted":"yes"}}}'), 'x')
  for (const object of [metadata, {}]) assert.equal('polluted' in object, false)
  tidy(() => {
    const special = ['constructor', 'toString', 'hasOwnProperty', '0', '']
    const tensors = special.map((name, i) => [name, Tensor.from(Uint8Array.of(i), [1])] as const)
    const read = decodeSafetensors(encodeSafetensors(tensors), 'x').tensors
    assert.deepEqual(
      special.map((name) => read.get(name)?.item()),
      [0, 1, 2, 3, 4],
    )
  })
})

test('a tensor named __proto__ is written and read, or refused', () => {
  tidy(() => {
    const x = Tensor.from(Uint8Array.of(9), [1])
    const read = decodeSafetensors(encodeSafetensors([['__proto__', x]]), 'x').tensors
    assert.equal(read.get('__proto__')?.item(), 9)
    const given = '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    assert.equal(
      decodeSafetensors(file(given, Uint8Array.of(9)), 'x')
        .tensors.get('__proto__')
        ?.item(),
      9,
    )
  })
})

test('a tensor named __metadata__ is refused when written', () => {
  tidy(() => {
    const x = Tensor.from(Uint8Array.of(9), [1])
    assertRefuses(() => encodeSafetensors([['__metadata__', x]]), 'input', /__metadata__/)
  })
})

test('an empty tensor of an impossible shape is refused', () => {
  refuses(file({ x: entry('F32', [2 ** 52, 2 ** 52, 0], [0, 0]) }), /'x'/)
})

test('a refused file leaves no tensor behind', () => {
  const before = liveSlots()
  const header = { good: entry('U8', [1], [0, 1]), bad: 7 }
  assertRefuses(() => decodeSafetensors(file(header, new Uint8Array(1)), 'x'), 'data', /'bad'/)
  assert.equal(liveSlots(), before)
})

test('a truth value other than 0 and 1 is refused, and leaves no tensor behind', () => {
  const before = liveSlots()
  const header = { first: entry('U8', [1], [0, 1]), flags: entry('BOOL', [2], [1, 3]) }
  const decode = (...body: number[]) => decodeSafetensors(file(header, Uint8Array.from(body)), 'x')
  assertRefuses(() => decode(9, 1, 2), 'data', /'flags' has a truth value that is neither 0 nor 1/)
  assert.equal(liveSlots(), before)
  assert.equal(
    tidy(() => decode(9, 1, 0).tensors.size),
    2,
  )
})

test('tensors that share bytes, and bytes of no tensor, are refused as the format asks', () => {
  const shared = { a: entry('U8', [2], [0, 2]), b: entry('U8', [2], [1, 3]) }
  refuses(file(shared, new Uint8Array(3)), /'b'/)
  refuses(file({ a: entry('U8', [2], [0, 2]) }, new Uint8Array(3)))
})
