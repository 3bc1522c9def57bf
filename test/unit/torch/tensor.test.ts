/** Tensors to and from bytes, operator calls and what they say when refused, calls on another thread, gradients. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  add,
  call,
  callLater,
  callMany,
  channelsLast,
  conv2d,
  type Dtype,
  dtypes,
  grad,
  liveSlots,
  mul,
  noGrad,
  relu,
  run,
  setRequiresGrad,
  slice,
  sum,
  Tensor,
  tidy,
  to,
} from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

const names = Object.keys(dtypes) as Dtype[]
/** Written once more, apart from the product's own table: what that is checked against. */
const widths: Record<Dtype, number> = {
  uint8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
  bool: 1,
  bfloat16: 2,
}
const floats = (values: number[], shape: number[] = [values.length]) =>
  Tensor.from(Float32Array.from(values), shape)

/** Any bytes but for bool, where libtorch expects 0 or 1. */
const content = fc.record({
  dtype: fc.constantFrom(...names),
  shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  seed: fc.integer({ min: 0, max: 255 }),
})

function bytesFor(dtype: Dtype, shape: readonly number[], seed: number): Uint8Array {
  const count = shape.reduce((product, length) => product * length, widths[dtype])
  return Uint8Array.from({ length: count }, (_, i) => (seed + 37 * i) % (dtype === 'bool' ? 2 : 256))
}

test('bytes of every element type and shape come back as given', () => {
  fc.assert(
    fc.property(content, ({ dtype, shape, seed }) => {
      const bytes = bytesFor(dtype, shape, seed)
      tidy(() => {
        const tensor = Tensor.from(bytes, shape, dtype)
        assert.deepEqual([tensor.shape, tensor.dtype, tensor.device], [shape, dtype, 'cpu'])
        assert.equal(tensor.size * widths[dtype], bytes.length)
        assert.deepEqual(tensor.bytes(), bytes)
      })
    }),
    { numRuns: 200 },
  )
})

test('typed arrays give their element type; a part of a larger buffer is honoured', () => {
  tidy(() => {
    const part = Float32Array.of(9, 1, 2, 3, 9).subarray(1, 4)
    assert.deepEqual([...Tensor.from(part, [3]).floats()], [1, 2, 3])
    assert.equal(Tensor.from(new Float64Array(1), [1]).dtype, 'float64')
    assert.equal(Tensor.from(new Int32Array(1), [1]).dtype, 'int32')
    assert.equal(Tensor.from(BigInt64Array.of(-7n), [1]).item(), -7)
    assert.equal(Tensor.from(new Uint8Array(1), [1]).dtype, 'uint8')
  })
})

test('bytes and matrix are row-major whatever the memory format', () => {
  tidy(() => {
    const values = Float32Array.from({ length: 24 }, (_, i) => i)
    const x = Tensor.from(values, [1, 3, 2, 4])
    assert.deepEqual(channelsLast(x).floats(), values)
    const transposed = call('aten::transpose.int', Tensor.from(values, [4, 6]), 0, 1)
    assert.deepEqual(transposed.matrix()[1], [1, 7, 13, 19])
    assert.deepEqual(slice(Tensor.from(values, [4, 6]), 1, 2, 6, 3).matrix()[3], [20, 23])
  })
})

test('a wrong number of bytes or an impossible shape is refused with both numbers', () => {
  assertRefuses(() => Tensor.from(new Float32Array(2), [3]), 'torch', /\[3\]/, /12 bytes/, /8 were given/)
  assertRefuses(() => Tensor.from(new Uint8Array(2), [1]), 'torch', /1 bytes/, /2 were given/)
  assertRefuses(() => Tensor.from(new Float32Array(2), [-2]), 'torch', /-2/)
  assertRefuses(() => Tensor.from(new Float32Array(0), [2 ** 40, 2 ** 40, 0]), 'torch', /overflow/)
})

test('floats() of whole numbers is refused, naming the type', () => {
  tidy(() => assertRefuses(() => Tensor.from(new Int32Array(1), [1]).floats(), 'torch', /int32/))
})

test('item() of more than one element is refused', () => {
  tidy(() => assertRefuses(() => floats([1, 2]).item(), 'torch', /^item: /))
})

test("a refused call names operator, shapes and libtorch's first line", () => {
  tidy(() => {
    const [x, w] = [floats([1, 2, 3], [1, 3, 1, 1]), floats(Array(8).fill(0), [2, 4, 1, 1])]
    const mentions = [/^aten::conv2d\(/, /Float\[1, 3, 1, 1\]/, /Float\[2, 4, 1, 1\]/, /4 channels/]
    assertRefuses(() => conv2d(x, w), 'torch', ...mentions)
    assertRefuses(
      () => call('aten::mm', floats([1]), floats([1])),
      'torch',
      /^aten::mm\(Float\[1\]/,
      /matrix/,
    )
  })
})

test('unknown operators, overloads and arguments that do not fit the schema are refused', () => {
  tidy(() => {
    const x = floats([1, 2])
    assertRefuses(() => call('aten::no_such', x), 'torch', /aten::no_such/)
    assertRefuses(() => call('aten::add.Nothing', x, x), 'torch', /aten::add\.Nothing/)
    assertRefuses(() => call('aten::mm', x), 'torch', /aten::mm: argument 'mat2' is missing/)
    assertRefuses(() => call('aten::relu', x, 1), 'torch', /aten::relu: too many/)
    assertRefuses(() => call('aten::relu', 'x'), 'torch', /aten::relu: .* a tensor/)
    assertRefuses(() => call('aten::sum.dim_IntList', x, [0.5]), 'torch', /whole number/)
    assertRefuses(() => callLater('aten::no_such', x), 'torch', /aten::no_such/)
    assert.deepEqual([...relu(x).floats()], [1, 2], 'the engine still works')
  })
})

test('a refused call leaves no slot behind', () => {
  const before = liveSlots()
  tidy(() => {
    const x = floats([1, 2])
    assert.throws(() => call('aten::mm', x, x))
    assert.throws(() => callLater('aten::mm', x, x).finish())
    assert.equal(liveSlots(), before + 1)
  })
})

test('an in-place call changes its tensor and leaves no slot; undefined results are null', () => {
  tidy(() => {
    const x = floats([1, 2])
    const before = liveSlots()
    run('aten::mul_.Scalar', x, 3)
    assert.equal(liveSlots(), before)
    assert.deepEqual([...x.floats()], [3, 6])
    const [image, weight] = [floats([1, 2], [1, 2, 1, 1]), floats([1, 1], [1, 2, 1, 1])]
    const output = floats([1], [1, 1, 1, 1])
    const conv = [[1, 1], [0, 0], [1, 1], false, [0, 0], 1, [true, false, true]] as const
    const gradients = callMany('aten::convolution_backward', output, image, weight, [1], ...conv)
    assert.deepEqual(
      gradients.map((gradient) => gradient?.shape ?? null),
      [[1, 2, 1, 1], null, [1]],
    )
  })
})

test('calls on another thread give their results in any order of asking', () => {
  tidy(() => {
    const works = [1, 2, 3].map((value) => callLater('aten::mul.Scalar', floats([value]), 10))
    assert.deepEqual(
      works.reverse().map((work) => work.finish().item()),
      [30, 20, 10],
    )
    assertRefuses(() => works[0].finish(), 'torch', /finished before/)
  })
})

test('a call on another thread outlives the disposal of its arguments', () => {
  tidy(() => {
    const work = tidy(() => callLater('aten::add.Tensor', floats([1]), floats([2])))
    assert.equal(work.finish().item(), 3)
  })
})

test('an error on another thread arrives at finish, with the operator', () => {
  tidy(() => {
    const work = callLater('aten::mm', floats([1]), floats([1]))
    assertRefuses(() => work.finish(), 'torch', /^aten::mm/, /matrix/)
  })
})

test('grad: the derivative, null where the output does not depend on an input', () => {
  tidy(() => {
    const [x, y, unused] = [floats([1, 2]), floats([5, 7]), floats([1])]
    setRequiresGrad([x, y, unused], true)
    const [dx, dUnused, dy] = grad(sum(mul(mul(x, x), y)), [x, unused, y])
    assert.deepEqual([...(dx?.floats() ?? [])], [10, 28])
    assert.deepEqual([...(dy?.floats() ?? [])], [1, 4])
    assert.equal(dUnused, null)
  })
})

test('grad refuses an output without a graph, a graph used before, and an output that is no scalar', () => {
  tidy(() => {
    const x = floats([1, 2])
    assertRefuses(() => grad(sum(x), [x]), 'torch', /^grad: .*require grad/)
    setRequiresGrad([x], true)
    assertRefuses(() => grad(mul(x, x), [x]), 'torch', /^grad: .*scalar/)
    const output = sum(mul(x, x))
    grad(output, [x])
    assertRefuses(() => grad(output, [x]), 'torch', /^grad: .*second time/)
  })
})

test('noGrad records nothing, also after its body threw and when nested', () => {
  tidy(() => {
    const x = floats([3])
    setRequiresGrad([x], true)
    const records = () => {
      try {
        return grad(sum(mul(x, x)), [x])[0]?.item() === 6
      } catch {
        return false
      }
    }
    noGrad(() => {
      noGrad(() => assert.equal(records(), false))
      assert.equal(records(), false, 'the inner end does not switch recording on')
    })
    assert.equal(records(), true)
    assert.throws(() =>
      noGrad(() => {
        throw new Error('body')
      }),
    )
    assert.equal(records(), true)
  })
})

test('to changes element types', () => {
  tidy(() => {
    const x = floats([1.5, -2.5])
    assert.deepEqual([...to(x, { dtype: 'float64' }).floats()], [1.5, -2.5])
    const whole = to(x, { dtype: 'int32' })
    assert.deepEqual([...new Int32Array(whole.bytes().buffer)], [1, -2])
    assert.equal(add(whole, whole).dtype, 'int32')
  })
})

test('a shape of fractions is refused', () => {
  assertRefuses(() => Tensor.from(new Float32Array(2), [2.5]), 'torch', /2\.5/)
})

test('an error on another thread names the shapes', () => {
  tidy(() =>
    assertRefuses(() => callLater('aten::mm', floats([1]), floats([1])).finish(), 'torch', /Float\[1\]/),
  )
})
