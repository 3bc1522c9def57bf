/** SGD, Adam, clipping and the cosine schedule against plain numbers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Adam, cosineLr, Sgd } from '../../../src/nn/index.ts'
import { channelsLast, liveSlots, setRequiresGrad, Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

type Vector = readonly number[]
const tensor = (values: Vector) => Tensor.from(Float64Array.from(values), [values.length])
const orNull = (values: Vector | null) => (values === null ? null : tensor(values))

function close(actual: Iterable<number>, wanted: Vector, what: string): void {
  const values = [...actual]
  assert.equal(values.length, wanted.length)
  for (const [i, value] of values.entries()) {
    const error = Math.abs(value - wanted[i])
    assert.ok(error <= 1e-12 * (1 + Math.abs(wanted[i])), `${what}[${i}]: ${value}, ${wanted[i]}`)
  }
}

/** Three parameters, and gradients of six steps: `b` has its first in step 2 and none in step 4, `c` never has one. */
const start: Record<string, Vector> = { a: [1, -2], b: [0.5], c: [3, 4, 5] }
const rates = [0.1, 0.1, 0.05, 0.05, 0.02, 0.02]
const given: Record<string, Vector | null>[] = rates.map((_, step) => ({
  a: step === 3 ? null : [Math.sin(step), 1 + step],
  b: step < 2 || step === 4 ? null : [0.3 * step - 1],
  c: null,
}))

const makeParameters = () => new Map(Object.entries(start).map(([name, values]) => [name, tensor(values)]))
const gradientsOf = (step: number) => Object.keys(start).map((name) => orNull(given[step][name]))

/** torch.optim.SGD in plain numbers, with a missing gradient as zero once there is a velocity. */
function plainSgd(name: string, momentum: number, weightDecay: number, nesterov: boolean): Vector {
  const w = [...start[name]]
  let v: number[] | undefined
  for (const [step, rate] of rates.entries()) {
    const gradient = given[step][name]
    if (gradient === null && v === undefined) continue
    const before: Vector | undefined = v
    const g = w.map((value, i) => (gradient?.[i] ?? 0) + weightDecay * value)
    v = g.map((own, i) => momentum * (before?.[i] ?? 0) + own)
    for (const [i, velocity] of v.entries()) w[i] -= rate * (nesterov ? g[i] + momentum * velocity : velocity)
  }
  return w
}

for (const [momentum, weightDecay, nesterov] of [
  [0, 0, false],
  [0.9, 0, false],
  [0, 0.1, false],
  [0.9, 0.1, false],
  [0.9, 0.1, true],
] as const)
  test(`SGD, momentum ${momentum}${nesterov ? ' after Nesterov' : ''}, L2 ${weightDecay}: six steps with gradients that come and go`, () => {
    tidy(() => {
      const parameters = makeParameters()
      const sgd = new Sgd(parameters, { momentum, weightDecay, nesterov })
      for (const [step, rate] of rates.entries()) sgd.step(gradientsOf(step), rate)
      for (const [name, weight] of parameters)
        close(weight.floats(), plainSgd(name, momentum, weightDecay, nesterov), name)
      assert.deepEqual([...sgd.state().keys()], ['a', 'b'], 'no velocity without a gradient')
      sgd.dispose()
    })
  })

/** torch.optim.Adam in plain numbers: L2 in the gradient, bias-corrected means, a missing gradient as zero. */
function plainAdam(name: string, beta1: number, beta2: number, weightDecay: number): Vector {
  const w = [...start[name]]
  const m = w.map(() => 0)
  const v = w.map(() => 0)
  for (const step of rates.keys())
    for (const i of w.keys()) {
      const g = (given[step][name]?.[i] ?? 0) + weightDecay * w[i]
      m[i] = beta1 * m[i] + (1 - beta1) * g
      v[i] = beta2 * v[i] + (1 - beta2) * g * g
      const [mean, square] = [m[i] / (1 - beta1 ** (step + 1)), v[i] / (1 - beta2 ** (step + 1))]
      w[i] -= (0.01 * mean) / (Math.sqrt(square) + 1e-8)
    }
  return w
}

for (const weightDecay of [0, 0.1])
  test(`Adam, L2 ${weightDecay}: six steps with gradients that come and go`, () => {
    tidy(() => {
      const parameters = makeParameters()
      const adam = new Adam(parameters, { lr: 0.01, betas: [0.5, 0.999], weightDecay })
      for (const step of rates.keys()) adam.step(gradientsOf(step))
      for (const [name, weight] of parameters)
        close(weight.floats(), plainAdam(name, 0.5, 0.999, weightDecay), name)
      assert.equal(adam.steps, 6)
      adam.dispose()
    })
  })

test('gradients are not changed by a step, and a step leaves no slot but new velocities', () => {
  tidy(() => {
    const parameters = makeParameters()
    setRequiresGrad([...parameters.values()], true)
    const sgd = new Sgd(parameters, { momentum: 0.9, weightDecay: 0.1 })
    const adam = new Adam(parameters, { lr: 0.01, betas: [0.5, 0.9], weightDecay: 0.1 })
    const gradients = gradientsOf(2)
    const before = liveSlots()
    sgd.step(gradients, 0.1).dispose()
    assert.equal(liveSlots(), before + 2)
    sgd.step(gradients, 0.1).dispose()
    adam.step(gradients)
    assert.equal(liveSlots(), before + 2)
    for (const [i, name] of Object.keys(start).entries())
      if (gradients[i]) close(gradients[i].floats(), given[2][name] ?? [], name)
    sgd.dispose()
    adam.dispose()
  })
})

/** Both optimizers behind one face, to check that saved states continue. */
const optimizers = {
  sgd: (parameters: Map<string, Tensor>) => {
    const sgd = new Sgd(parameters, { momentum: 0.9, weightDecay: 0.1 })
    const load = (other: typeof sgd) => sgd.load(other.state())
    return { optimizer: sgd, load, step: (step: number) => sgd.step(gradientsOf(step), rates[step]) }
  },
  adam: (parameters: Map<string, Tensor>) => {
    const adam = new Adam(parameters, { lr: 0.01, betas: [0.5, 0.999], weightDecay: 0.1 })
    const load = (other: typeof adam) => adam.load(other.state(), other.steps)
    return { optimizer: adam, load, step: (step: number) => adam.step(gradientsOf(step)) }
  },
}

function continues<O extends { dispose(): void }>(
  make: (p: Map<string, Tensor>) => { optimizer: O; load(other: O): void; step(step: number): void },
): void {
  tidy(() => {
    const parameters = makeParameters()
    const first = make(parameters)
    for (const step of [0, 1, 2]) first.step(step)
    const copies = new Map([...parameters].map(([name, p]) => [name, tensor([...p.floats()])]))
    const second = make(copies)
    second.load(first.optimizer)
    for (const step of [3, 4, 5]) {
      first.step(step)
      second.step(step)
    }
    for (const [name, p] of parameters) assert.deepEqual(copies.get(name)?.floats(), p.floats())
    first.optimizer.dispose()
    second.optimizer.dispose()
  })
}

test('SGD goes on exactly from a loaded state, the saved one unchanged by it', () =>
  continues(optimizers.sgd))
test('Adam goes on exactly from a loaded state, the saved one unchanged by it', () =>
  continues(optimizers.adam))

test('a state of other parameters is refused', () => {
  tidy(() => {
    const sgd = new Sgd(makeParameters(), { momentum: 0.9, weightDecay: 0 })
    assertRefuses(() => sgd.load(new Map([['d', tensor([1])]])), 'checkpoint', /'d'/)
    assertRefuses(() => sgd.load(new Map([['a', tensor([1])]])), 'checkpoint', /'a' \[1\]/)
    sgd.dispose()
  })
})

test('a refused state leaves the optimizer as it was', () => {
  tidy(() => {
    const sgd = new Sgd(makeParameters(), { momentum: 0.9, weightDecay: 0 })
    sgd.step(gradientsOf(2), 0.1)
    assertRefuses(() => sgd.load(new Map([['d', tensor([1])]])), 'checkpoint')
    assert.deepEqual([...sgd.state().keys()], ['a', 'b'])
  })
})

test('a step in which nothing has a gradient yet does nothing', () => {
  tidy(() => {
    const parameters = makeParameters()
    new Sgd(parameters, { momentum: 0.9, weightDecay: 0.1 }).step([null, null, null], 0.1)
    for (const [name, weight] of parameters) close(weight.floats(), start[name], name)
  })
})

test('clipping scales by limit / (norm + 1e-6) above the limit and changes nothing below', () => {
  // what is smaller is zero to operators
  const normal = fc
    .double({ min: -10, max: 10, noNaN: true })
    .filter((value) => value === 0 || Math.abs(value) >= 2 ** -1022)
  const vectors = fc.array(fc.array(normal, { minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 4,
  })
  fc.assert(
    fc.property(vectors, fc.double({ min: 0.01, max: 20, noNaN: true }), (lists, limit) => {
      tidy(() => {
        const norm = Math.hypot(...lists.flat())
        const weights = new Map(lists.map((list, i) => [`${i}`, tensor(list.map(() => 0))]))
        const sgd = new Sgd(weights, { momentum: 0, weightDecay: 0 })
        close([sgd.step(lists.map(tensor), -1, limit).item()], [norm], 'norm')
        const scale = limit / (norm + 1e-6)
        lists.forEach((list, i) => {
          const moved = weights.get(`${i}`)?.floats() ?? []
          if (scale >= 1) assert.ok(list.every((value, j) => moved[j] === value))
          else
            close(
              moved,
              list.map((value) => scale * value),
              'clipped',
            )
        })
        sgd.dispose()
      })
    }),
  )
})

test('a norm that is not finite is returned so, and nothing moves', () => {
  tidy(() => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const parameters = makeParameters()
      const sgd = new Sgd(parameters, { momentum: 0.9, weightDecay: 0.1 })
      const norm = sgd.step([tensor([1, value]), tensor([2]), null], 0.1, 5).item()
      assert.equal(norm, Number.isNaN(value) ? value : Number.POSITIVE_INFINITY)
      for (const [name, weight] of parameters) close(weight.floats(), start[name], name)
      sgd.dispose()
    }
    const none = new Sgd(makeParameters(), { momentum: 0.9, weightDecay: 0.1 })
    assert.equal(none.step([null, null, null], 0.1, 5).item(), 0)
  })
})

test('cosine: from at epoch 0, to at the end, half-way between in the middle, falling all the way', () => {
  assert.equal(cosineLr(0, 50, 0.025, 0.001), 0.025)
  close([cosineLr(50, 50, 0.025, 0.001), cosineLr(25, 50, 0.025, 0.001)], [0.001, 0.013], 'rate')
  const rate = fc.double({ min: 1e-6, max: 1, noNaN: true })
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 600 }),
      rate,
      fc.double({ min: 0, max: 0.9, noNaN: true }),
      (epochs, from, part) => {
        const all = Array.from({ length: epochs + 1 }, (_, epoch) =>
          cosineLr(epoch, epochs, from, part * from),
        )
        for (const [epoch, value] of all.entries())
          if (epoch > 0) assert.ok(value < all[epoch - 1], `epoch ${epoch}: ${value}`)
        assert.ok(all[epochs - 1] > part * from, 'the last epoch still learns')
      },
    ),
  )
})

test('the recursive form of torch.optim.lr_scheduler.CosineAnnealingLR gives the same rates', () => {
  let rate = 0.025
  for (let epoch = 1; epoch <= 50; epoch++) {
    const [now, last] = [epoch, epoch - 1].map((e) => 1 + Math.cos((Math.PI * e) / 50))
    rate = (now / last) * (rate - 0.001) + 0.001
    close([cosineLr(epoch, 50, 0.025, 0.001)], [rate], `epoch ${epoch}`)
  }
})

test('weights in channels last and a gradient that is not take the step of plain numbers', () => {
  tidy(() => {
    const values = Float32Array.from({ length: 24 }, (_, i) => i - 12)
    const image = (scale: number) =>
      Tensor.from(
        Float32Array.from(values, (x) => scale * x),
        [2, 3, 2, 2],
      )
    const w = channelsLast(image(1))
    const sgd = new Sgd(new Map([['w', w]]), { momentum: 0.5, weightDecay: 0 })
    sgd.step([image(2)], 0.25)
    sgd.step([channelsLast(image(1))], 0.25)
    // w - (2 w) / 4 = w / 2; then the velocity is (2 w) / 2 + w = 2 w
    assert.deepEqual([...w.floats()], Array(24).fill(0))
    sgd.dispose()
  })
})
