/** ENAS's controller against a formula and by all its sequences, the gradient of REINFORCE, and what is sampled in each space. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import type { SearchSpace } from '../../../src/spaces/space.ts'
import { Controller } from '../../../src/strategies/enas/controller.ts'
import {
  architectureOf,
  type Decision,
  decisionsOf,
  drawMade,
  leftOut,
} from '../../../src/strategies/enas/decisions.ts'
import { enas } from '../../../src/strategies/enas/enas.ts'
import { Reinforce, reinforceLoss } from '../../../src/strategies/enas/reinforce.ts'
import {
  call,
  copy,
  Generator,
  grad,
  liveSlots,
  mul,
  setRequiresGrad,
  sum,
  Tensor,
  tidy,
} from '../../../src/torch/index.ts'

type Rows = readonly (readonly boolean[])[]

/** Decisions on one group, each of which may take some of the columns. */
function rowsOf(allowed: Rows): Decision[] {
  return allowed.map((columns, row) => ({ group: 'cell', row, allowed: columns }))
}

const three: Rows = Array.from({ length: 3 }, () => [true, true, true])

/** In float64, with weights large enough that sequences differ in probability. */
function made(decisions: readonly Decision[], seed = 1): Controller {
  const choices = [
    { name: 'cell', rows: 3, candidates: decisions[0].allowed.map(String), run: 'sampled' },
  ] as const
  const controller = new Controller(choices, decisions, { generator: new Generator(seed), dtype: 'float64' })
  const generator = new Generator(seed, 'larger')
  for (const parameter of controller.parameters.values())
    tidy(() => {
      const values = Float64Array.from({ length: parameter.size }, () => 0.5 * generator.normal())
      copy(parameter, Tensor.from(values, parameter.shape))
    })
  return controller
}

const sequences = (rows: number, columns: number): number[][] =>
  Array.from({ length: columns ** rows }, (_, number) =>
    Array.from({ length: rows }, (_, row) => Math.floor(number / columns ** row) % columns),
  )

const logsOf = (controller: Controller, all: readonly (readonly number[])[]) =>
  tidy(() => [...controller.logProbability(all).floats()])

/** As PyTorch's documentation writes an LSTM: gates i, f, g, o. */
function byHand(controller: Controller, decisions: readonly Decision[], decided: readonly number[]): number {
  const matrix = (name: string) =>
    controller.parameters.get(`controller.${name}`)?.matrix() ?? assert.fail(name)
  const vector = (name: string) => [...(controller.parameters.get(`controller.${name}`)?.floats() ?? [])]
  const times = (rows: readonly number[][], x: readonly number[]) =>
    rows.map((row) => row.reduce((total, value, at) => total + value * x[at], 0))
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
  const states = [0, 1].map(() => ({ h: Array<number>(32).fill(0), c: Array<number>(32).fill(0) }))
  let [input] = matrix('start')
  let total = 0
  for (const [at, { allowed }] of decisions.entries()) {
    for (const [layer, state] of states.entries()) {
      const parts = [
        times(matrix(`lstm.${layer}.weight_ih`), input),
        times(matrix(`lstm.${layer}.weight_hh`), state.h),
        vector(`lstm.${layer}.bias_ih`),
        vector(`lstm.${layer}.bias_hh`),
      ]
      const gate = (which: number, k: number) => parts.reduce((all, part) => all + part[32 * which + k], 0)
      const c = state.c.map((c, k) => sigmoid(gate(1, k)) * c + sigmoid(gate(0, k)) * Math.tanh(gate(2, k)))
      state.h = c.map((value, k) => sigmoid(gate(3, k)) * Math.tanh(value))
      state.c = c
      input = state.h
    }
    const logits = times(matrix('prediction.cell.weight'), input).map(
      (value, k) => 2.5 * Math.tanh((value + vector('prediction.cell.bias')[k]) / 5),
    )
    const column = decided[at]
    if (column !== leftOut) {
      const sumOfAll = logits.reduce((all, value, k) => (allowed[k] ? all + Math.exp(value) : all), 0)
      total += logits[column] - Math.log(sumOfAll)
    }
    input = matrix('embedding.cell').at(column) ?? assert.fail()
  }
  return total
}

test('the probability of a sequence is that of the formula, in float64; rows left out are read and not decided', () => {
  const decisions = rowsOf([...three.slice(1), [true, false, true]])
  const controller = made(decisions)
  const all = [
    [0, 1, 2],
    [2, 2, 0],
    [leftOut, 1, 0],
    [1, leftOut, 2],
    [leftOut, leftOut, leftOut],
  ]
  for (const [at, log] of logsOf(controller, all).entries()) {
    const wanted = byHand(controller, decisions, all[at])
    assert.ok(Math.abs(log - wanted) < 1e-12 * Math.max(1, Math.abs(wanted)), `${log}, ${wanted}`)
  }
  controller.dispose()
})

test('all sequences together have probability 1, and each is sampled as often; entropy is their mean -ln p', () => {
  const decisions = rowsOf(three)
  const controller = made(decisions)
  const all = sequences(3, 3)
  const logs = logsOf(controller, all)
  assert.ok(Math.abs(logs.reduce((total, log) => total + Math.exp(log), 0) - 1) < 1e-12)
  const generator = new Generator(2, 'samples')
  const counts = new Map<string, number>()
  const draws = 1500
  let entropy = 0
  const before = liveSlots()
  for (let draw = 0; draw < draws; draw++) {
    const sampled = controller.sample([true, true, true], generator)
    entropy += sampled.entropy / draws
    counts.set(sampled.decided.join(), (counts.get(sampled.decided.join()) ?? 0) + 1)
  }
  assert.equal(liveSlots(), before)
  let chiSquare = 0
  for (const [at, log] of logs.entries()) {
    const wanted = draws * Math.exp(log)
    chiSquare += ((counts.get(all[at].join()) ?? 0) - wanted) ** 2 / wanted
  }
  // of 26 degrees of freedom, at 1 - 1e-4
  assert.ok(chiSquare < 62, `${chiSquare}`)
  const whole = -logs.reduce((total, log) => total + log * Math.exp(log), 0)
  assert.ok(Math.abs(entropy - whole) < 0.02 * whole, `${entropy}, ${whole}`)
  controller.dispose()
})

test('over all sequences REINFORCE is the gradient of the mean reward, whatever the baseline; differences agree', () => {
  const controller = made(rowsOf(three))
  const all = sequences(3, 3)
  const rewards = all.map((_, at) => Math.sin(3 * at))
  const parameters = [...controller.parameters.values()]
  const gradients = (body: () => Tensor) =>
    tidy(() => {
      setRequiresGrad(parameters, true)
      try {
        return grad(body(), parameters).map((one) => (one ? [...one.floats()] : []))
      } finally {
        setRequiresGrad(parameters, false)
      }
    })
  const meanReward = () => {
    const data = Float64Array.from(rewards)
    return sum(mul(call('aten::exp', controller.logProbability(all)), Tensor.from(data, [data.length])))
  }
  const exact = gradients(meanReward).flat()
  const probabilities = logsOf(controller, all).map(Math.exp)
  for (const baseline of [0, 0.7]) {
    const estimate = exact.map(() => 0)
    for (const [at, decided] of all.entries()) {
      const one = gradients(() => reinforceLoss(controller, [{ decided, advantage: rewards[at] - baseline }]))
      for (const [k, value] of one.flat().entries()) estimate[k] -= probabilities[at] * value
    }
    const largest = Math.max(...exact.map(Math.abs))
    assert.ok(largest > 1e-3)
    for (const [k, value] of exact.entries())
      assert.ok(
        Math.abs(value - estimate[k]) < 1e-12 * Math.max(1, largest),
        `${k}: ${value}, ${estimate[k]}`,
      )
  }
  let offset = 0
  for (const parameter of parameters) {
    const values = Float64Array.from(parameter.floats())
    const at = Math.floor(values.length / 2)
    const shifted = (by: number) =>
      tidy(() => {
        const moved = values.slice()
        moved[at] += by
        copy(parameter, Tensor.from(moved, parameter.shape))
        return meanReward().item()
      })
    const slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5
    shifted(0)
    assert.ok(Math.abs(slope - exact[offset + at]) < 1e-8, `${slope}, ${exact[offset + at]}`)
    offset += values.length
  }
  controller.dispose()
})

test('the loss of several samples is the mean of theirs', () => {
  const controller = made(rowsOf(three))
  const both = [
    { decided: [0, 1, 2], advantage: 0.3 },
    { decided: [2, leftOut, 1], advantage: -0.1 },
  ]
  tidy(() => {
    const [one, other] = both.map((experience) => reinforceLoss(controller, [experience]).item())
    assert.ok(Math.abs(reinforceLoss(controller, both).item() - (one + other) / 2) < 1e-14)
  })
  controller.dispose()
})

test('a row of which an architecture takes two candidates is decided twice, never the same', () => {
  const pairs = [0, 1, 2].flatMap((a) => [0, 1, 2].filter((b) => b > a).map((b) => [a, b]))
  const space: SearchSpace = {
    ...nasbench201Space,
    choices: [{ name: 'cell', rows: 1, candidates: ['a', 'b', 'c'], run: 'sampled' }],
    parts: [pairs.map((columns) => columns.map((column) => ({ group: 'cell', row: 0, column })))],
  } as SearchSpace
  const decisions = decisionsOf(space)
  assert.deepEqual(
    decisions.map(({ row }) => row),
    [0, 0],
  )
  const controller = made(decisions)
  const ordered = sequences(2, 3)
  const logs = logsOf(controller, ordered)
  for (const [at, [a, b]] of ordered.entries()) assert.equal(logs[at] < -1e6, a === b)
  assert.ok(Math.abs(logs.reduce((total, log) => total + Math.exp(log), 0) - 1) < 1e-12)
  controller.dispose()
})

for (const space of [dartsSpace, nasbench201Space] as readonly SearchSpace[])
  test(`${space.name}: what is decided is what runs, and only what can be picked is decided`, () => {
    const decisions = decisionsOf(space)
    assert.equal(decisions.length, space === dartsSpace ? 28 : 6)
    const init = { device: 'cpu', generator: new Generator(0) }
    const controller = new Controller(space.choices, decisions, init)
    const generator = new Generator(1, 'samples')
    const left = decisions.map(() => 0)
    for (let draw = 0; draw < 20; draw++) {
      const { decided } = controller.sample(drawMade(space, decisions, generator), generator)
      const picks = space.encode(architectureOf(space, decisions, decided))
      for (const [at, { group, row, allowed }] of decisions.entries()) {
        const column = decided[at]
        assert.deepEqual(picks.get(group)?.[row], column === leftOut ? [] : [column])
        if (column === leftOut) left[at] += 1
        else assert.ok(allowed[column])
      }
    }
    // two of five edges into the last node stay, and all of NAS-Bench-201's
    const none = space.choices[0].none ?? -1
    assert.equal(decisions[0].allowed[none], space !== dartsSpace)
    if (space === dartsSpace) assert.ok(left[13] > 6 && left[13] < 18, `${left[13]}`)
    else assert.deepEqual(left, [0, 0, 0, 0, 0, 0])
    controller.dispose()
  })

test('what is rewarded becomes likely; each reward is compared with a running mean', () => {
  const decisions = rowsOf(three)
  const choices = [{ name: 'cell', rows: 3, candidates: ['a', 'b', 'c'], run: 'sampled' }] as const
  const controller = new Controller(choices, decisions, { generator: new Generator(1) })
  const options = { updateSamples: 10, entropy: 0, baseline: 0.9 }
  const adam = { lr: 0.02, betas: [0, 0.999], weightDecay: 0, gradClip: 5 } as const
  const reinforce = new Reinforce(controller, options, { archOptimizer: { ...adam, betas: [0, 0.999] } })
  const generator = new Generator(2)
  const likely = () => Math.exp(logsOf(controller, [[2, leftOut, leftOut]])[0])
  const before = likely()
  assert.ok(Math.abs(before - 1 / 3) < 0.1)
  for (let sample = 0; sample < 300; sample++) {
    const sampled = controller.sample([true, false, false], generator)
    reinforce.learn(sampled, sampled.decided[0] === 2 ? 0.9 : 0.1)
  }
  assert.ok(likely() > 0.8, `${likely()}`)
  reinforce.dispose()
  controller.dispose()
})

test('the running mean begins with the first reward; each is compared with the mean that it counts in', () => {
  const decisions = rowsOf(three)
  const choices = [{ name: 'cell', rows: 3, candidates: ['a', 'b', 'c'], run: 'sampled' }] as const
  const controller = new Controller(choices, decisions, { generator: new Generator(1) })
  const options = { updateSamples: 9, entropy: 0.5, baseline: 0.75 }
  const reinforce = new Reinforce(controller, options, enas.defaults(nasbench201Space))
  reinforce.learn({ decided: [0, 1, 2], entropy: 1 }, 0.25)
  reinforce.learn({ decided: [1, 1, 2], entropy: 0 }, 0.35)
  // rewards 0.75 and 0.35: means 0.75, then 0.65
  const { baseline, experiences } = reinforce.state().data
  assert.ok(Math.abs(Number(baseline) - 0.65) < 1e-12)
  const wanted = [0, -0.3]
  for (const [at, { advantage }] of (experiences as { advantage: number }[]).entries())
    assert.ok(Math.abs(advantage - wanted[at]) < 1e-12)
  reinforce.dispose()
  controller.dispose()
})

function strategyOf() {
  const init = { device: 'cpu', generator: new Generator(0) }
  const usual = enas.defaults(nasbench201Space)
  const settings = { ...usual, enas: { ...usual.enas, updates: 2, updateSamples: 3 } }
  return enas.create({ space: nasbench201Space, init, seed: 4, epochs: 2 }, settings)
}

/** Rewards the fourth candidate; stops as Ctrl-C does. */
function measuring(stopAt = Number.POSITIVE_INFINITY) {
  let calls = 0
  return async (weights: (group: string) => { readonly sampledOps: readonly (readonly number[])[] }) => {
    if (calls++ === stopAt) throw new Error('stopped')
    const right = weights('cell').sampledOps.filter(([column]) => column === 3).length
    return { loss: 1, accuracy: right / 6 }
  }
}

for (const stopAt of [0, 2, 4])
  test(`stopped after ${stopAt} of 6 samples, saved and read back, the controller learns the same`, async () => {
    const [whole, stopped, resumed] = [strategyOf(), strategyOf(), strategyOf()]
    for (const one of [whole, stopped]) one.prepareStep({ epoch: 0, step: 0, globalStep: 0 })
    await whole.endEpoch?.(measuring())
    await assert.rejects(async () => stopped.endEpoch?.(measuring(stopAt)), /stopped/)
    const { tensors, data } = stopped.state()
    resumed.load({ tensors, data: JSON.parse(JSON.stringify(data)) })
    const told: string[] = []
    await resumed.endEpoch?.(measuring(), (done, total) => told.push(`${done}/${total}`))
    assert.equal(told.length, 6 - stopAt)
    assert.equal(told.at(-1), '6/6')
    assert.deepEqual(resumed.state().data, whole.state().data)
    const bytes = (strategy: typeof whole) => [...strategy.state().tensors.values()].map((x) => x.bytes())
    assert.deepEqual(bytes(resumed), bytes(whole))
    // the epoch's end may come again: nothing is left to do
    await resumed.endEpoch?.(measuring(0))
    for (const one of [whole, stopped, resumed]) one.dispose()
  })

test('a checkpoint of another space is refused', () => {
  const strategy = strategyOf()
  const { tensors, data } = strategy.state()
  for (const decided of [
    [0, 1],
    [0, 1, 2, 3, 4, 5],
  ])
    assert.throws(
      () => strategy.load({ tensors, data: { ...data, experiences: [{ decided, advantage: 1 }] } }),
      {
        kind: 'checkpoint',
      },
    )
  strategy.dispose()
})
