/** SNAS, DrNAS and SGAS against the published code: temperatures, divergence, samples and their gradients, pruning, decisions. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { dartsSpace } from '../../src/spaces/darts/cell-space.ts'
import { nodesOf } from '../../src/spaces/space.ts'
import { decisionsDue } from '../../src/strategies/sgas.ts'
import { concentrationOf, klToUniform, pathwiseSample } from '../../src/strategies/shared/dirichlet.ts'
import { bestOfRows, renormalised } from '../../src/strategies/shared/dirichlet-group.ts'
import {
  type Decision,
  decidedScores,
  decideEdge,
  distributionsOf,
  edgeScores,
} from '../../src/strategies/shared/edge-decision.ts'
import { snasTemperature } from '../../src/strategies/snas.ts'
import { add, grad, mul, setRequiresGrad, softmax, sum, Tensor, tidy } from '../../src/torch/index.ts'
import { absent, assertClose, readJson } from './fixtures.ts'

const matrix = z.array(z.array(z.number()))
const genotype = z.array(z.tuple([z.string(), z.number()]))

const tensorOf = (rows: readonly (readonly number[])[]) =>
  Tensor.from(Float32Array.from(rows.flat()), [rows.length, rows[0].length])
const vector = (values: readonly number[]) => Tensor.from(Float32Array.from(values), [values.length])

/** d value / d leaf of what `body` makes of the leaf. */
function gradientOf(leaf: Tensor, body: (leaf: Tensor) => Tensor): Tensor | null {
  setRequiresGrad([leaf], true)
  const [gradient] = grad(body(leaf), [leaf])
  setRequiresGrad([leaf], false)
  return gradient
}

test('SNAS: the temperature of each epoch', { skip: absent }, () => {
  const schema = z.object({
    temp: z.number(),
    temp_min: z.number(),
    epochs: z.number(),
    temperature_of_epoch: z.array(z.number()),
  })
  const golden = schema.parse(readJson('methods/snas-temperature.json'))
  assert.equal(golden.temperature_of_epoch.length, golden.epochs)
  const how = { tau: golden.temp, minTau: golden.temp_min }
  for (const [epoch, wanted] of golden.temperature_of_epoch.entries())
    assert.ok(Math.abs(snasTemperature(how, epoch, golden.epochs) - wanted) < 1e-12)
})

const drawn = z.object({ weights: matrix, upstream: matrix, dalpha: matrix })
const drnasSchema = z.object({
  primitives: z.array(z.string()),
  reg_scale: z.number(),
  alpha: z.object({ normal: matrix, reduce: matrix }),
  concentration: z.object({ normal: matrix, reduce: matrix }),
  kl_per_edge: z.object({ normal: z.array(z.number()), reduce: z.array(z.number()) }),
  kl_regulariser: z.number(),
  kl_gradient: z.object({ normal: matrix, reduce: matrix }),
  softmax: z.object({ normal: matrix, reduce: matrix }),
  sample: drawn,
  pruned: z.object({
    num_keep: z.number(),
    alpha_after: matrix,
    mask: matrix,
    softmax: matrix,
    sample: drawn.extend({ raw: matrix }),
  }),
  genotype: z.object({ normal: genotype, reduce: genotype }),
  extreme: z.object({
    alpha: matrix,
    concentration: matrix,
    kl: z.array(z.number()),
    gradient: z.array(z.number()),
  }),
})

test('DrNAS: concentration, divergence and its gradient', { skip: absent }, () =>
  tidy(() => {
    const golden = drnasSchema.parse(readJson('methods/drnas.json'))
    const cells = ['normal', 'reduce'] as const
    const sums = cells.map((cell) => {
      const alpha = tensorOf(golden.alpha[cell])
      const concentration = concentrationOf(alpha)
      assertClose(concentration, tensorOf(golden.concentration[cell]), 'concentration')
      assertClose(klToUniform(concentration), vector(golden.kl_per_edge[cell]), 'divergence')
      const regulariser = (of: Tensor) => mul(sum(klToUniform(concentrationOf(of))), golden.reg_scale)
      assertClose(gradientOf(alpha, regulariser), tensorOf(golden.kl_gradient[cell]), 'its gradient')
      assertClose(softmax(alpha, 1), tensorOf(golden.softmax[cell]), 'softmax')
      return regulariser(alpha)
    })
    const whole = sums.reduce(add).item()
    assert.ok(Math.abs(whole / golden.kl_regulariser - 1) < 1e-4, `${whole} ${golden.kl_regulariser}`)
    const { alpha, concentration, kl, gradient } = golden.extreme
    const far = { tolerance: 1e-3 }
    assertClose(concentrationOf(tensorOf(alpha)), tensorOf(concentration), 'far concentration', far)
    assertClose(klToUniform(concentrationOf(tensorOf(alpha))), vector(kl), 'far divergence', far)
    const found = gradientOf(tensorOf(alpha), (of) => sum(klToUniform(concentrationOf(of))))
    assertClose(found, tensorOf([gradient]), 'far gradient', far)
  }),
)

test('DrNAS: the gradient of a sample, whole and with pruned candidates', { skip: absent }, () =>
  tidy(() => {
    const { alpha, sample, pruned } = drnasSchema.parse(readJson('methods/drnas.json'))
    const whole = gradientOf(tensorOf(alpha.normal), (of) =>
      sum(mul(pathwiseSample(tensorOf(sample.weights), concentrationOf(of)), tensorOf(sample.upstream))),
    )
    assertClose(whole, tensorOf(sample.dalpha), 'gradient')
    const kept = bestOfRows(alpha.normal, pruned.num_keep)
    assert.deepEqual(
      kept,
      pruned.mask.map((row) => row.map(Boolean)),
    )
    const left = tensorOf(pruned.mask)
    const after = mul(tensorOf(alpha.normal), left)
    assertClose(after, tensorOf(pruned.alpha_after), 'alpha')
    assertClose(renormalised(softmax(after, 1), left), tensorOf(pruned.softmax), 'softmax')
    const weightsOf = (of: Tensor) =>
      renormalised(pathwiseSample(tensorOf(pruned.sample.raw), concentrationOf(of)), left)
    assertClose(weightsOf(after), tensorOf(pruned.sample.weights), 'weights')
    const found = gradientOf(after, (of) => sum(mul(weightsOf(of), tensorOf(pruned.sample.upstream))))
    assertClose(found, tensorOf(pruned.sample.dalpha), 'gradient of what is left')
  }),
)

test('DrNAS: the genotype that alpha means', { skip: absent }, () => {
  const golden = drnasSchema.parse(readJson('methods/drnas.json'))
  const columns = dartsSpace.choices[0].candidates.map((name) => golden.primitives.indexOf(name))
  const scores = (cell: 'normal' | 'reduce') =>
    tidy(() => softmax(tensorOf(golden.alpha[cell]), 1).matrix()).map((row) =>
      columns.map((k) => row[k] ?? 0),
    )
  const found = z.object({ normal: genotype, reduce: genotype }).parse(
    dartsSpace.decode(
      new Map([
        ['normal', scores('normal')],
        ['reduce', scores('reduce')],
      ]),
    ),
  )
  for (const cell of ['normal', 'reduce'] as const) assert.deepEqual(found[cell], golden.genotype[cell])
})

const flags = z.array(z.number())
const sgasSchema = z.object({
  primitives: z.array(z.string()),
  traces: z.array(
    z.object({
      criterion: z.number(),
      warmup_dec_epoch: z.number(),
      decision_freq: z.number(),
      history_size: z.number(),
      genotype,
      epochs: z.array(
        z.object({
          epoch: z.number(),
          alpha: matrix,
          importance: flags,
          certainty: flags,
          stability: flags.optional(),
          score: flags,
          decision: z.boolean(),
          selected_idxs: flags,
          candidate_flags: flags,
          forced_genotype: genotype.optional(),
        }),
      ),
    }),
  ),
})

const nearAll = (found: readonly number[], wanted: readonly number[], what: string) => {
  assert.equal(found.length, wanted.length)
  for (const [k, value] of found.entries())
    assert.ok(Math.abs(value - wanted[k]) <= 1e-5, `${what}[${k}]: ${value}, golden ${wanted[k]}`)
}

/** The golden edges of each node stand by their inputs, ours by their scores. */
const byInput = (edges: z.infer<typeof genotype>) =>
  [0, 2, 4, 6].map((at) => edges.slice(at, at + 2).sort(([, a], [, b]) => a - b))

test('SGAS: scores, decisions and genotypes of every epoch', { skip: absent }, () => {
  const { traces, primitives } = sgasSchema.parse(readJson('methods/sgas.json'))
  const none = primitives.indexOf('none')
  const [group] = dartsSpace.choices
  const nodes = nodesOf(group)
  assert.deepEqual(group.candidates, primitives)
  assert.equal(traces.length, 2)
  for (const { criterion, epochs, ...how } of traces) {
    let decisions: readonly Decision[] =
      group.nodes?.flatMap(({ rows }) => rows.map((): Decision => 'open')) ?? []
    let history: number[][][] = []
    const genotypeOf = (alpha: readonly (readonly number[])[]) => {
      const scores = decidedScores(decisions, alpha, none)
      const found = dartsSpace.decode(
        new Map([
          ['normal', scores],
          ['reduce', scores],
        ]),
      )
      return byInput(genotype.parse(z.object({ normal: z.unknown() }).parse(found).normal))
    }
    for (const { epoch, alpha, ...golden } of epochs) {
      const found = edgeScores(alpha, none, criterion === 2 ? history : undefined)
      nearAll(found.importance, golden.importance, 'importance')
      nearAll(found.certainty, golden.certainty, 'certainty')
      if (golden.stability) nearAll(found.stability, golden.stability, 'stability')
      nearAll(found.score, golden.score, 'score')
      history = [...history, distributionsOf(alpha, none)].slice(-how.history_size)
      // as shares of the epochs there are
      const all = epochs.length
      const shares = { warmUp: how.warmup_dec_epoch / all, interval: how.decision_freq / all }
      const made = decisions.filter((decision) => typeof decision === 'number').length
      const due = decisionsDue(shares, epoch, all, 8)
      assert.equal(due > made, golden.decision, `a decision after epoch ${epoch}`)
      if (golden.decision) decisions = decideEdge(decisions, found.score, alpha, none, nodes)
      assert.deepEqual(
        decisions.map((decision) => (decision === 'open' ? -1 : decision === 'closed' ? none : decision)),
        golden.selected_idxs,
      )
      assert.deepEqual(
        decisions.map((decision) => Number(decision === 'open')),
        golden.candidate_flags,
      )
      if (golden.forced_genotype) assert.deepEqual(genotypeOf(alpha), byInput(golden.forced_genotype))
    }
    assert.deepEqual(genotypeOf(epochs[epochs.length - 1].alpha), byInput(how.genotype))
  }
})
