/** SNAS, DrNAS, SGAS and PC-DARTS against the published code: temperatures, samples, decisions, partial channels, gradients. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { type ArchWeightsOf, Network, namedParameters } from '../../src/nn/index.ts'
import { dartsSpace } from '../../src/spaces/darts/cell-space.ts'
import { nodesOf } from '../../src/spaces/space.ts'
import { concentrationOf, klToUniform, pathwiseSample } from '../../src/strategies/drnas/dirichlet.ts'
import { renormalised } from '../../src/strategies/drnas/dirichlet-group.ts'
import { pcDarts } from '../../src/strategies/pc-darts.ts'
import {
  type Decision,
  decidedScores,
  decideEdge,
  distributionsOf,
  edgeScores,
} from '../../src/strategies/sgas/edge-decision.ts'
import { decisionsDue } from '../../src/strategies/sgas/settings.ts'
import { lossGradients } from '../../src/strategies/shared/arch-optimizer.ts'
import { bestOfRows } from '../../src/strategies/shared/matrix.ts'
import { snasTemperature } from '../../src/strategies/snas.ts'
import {
  add,
  copy,
  Generator,
  grad,
  mul,
  noGrad,
  setRequiresGrad,
  softmax,
  sum,
  Tensor,
  tidy,
} from '../../src/torch/index.ts'
import { absent, assertClose, tensorOf as goldenOf, readJson, readTensors } from './fixtures.ts'
import { assertNorm, manners } from './norms.ts'

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

const pcSchema = z.object({
  C: z.number(),
  K: z.number(),
  layers: z.number(),
  genotype: z.object({ normal: genotype, reduce: genotype }),
})

for (const [manner, run] of Object.entries(manners))
  test(`PC-DARTS: logits, gradients, edge weights and the genotype, ${manner}`, { skip: absent }, () =>
    run((layout) => {
      const golden = readTensors('methods/pc-darts.safetensors')
      const about = pcSchema.parse(readJson('methods/pc-darts.json'))
      const init = { device: 'cpu', generator: new Generator(0) }
      const size = { channels: about.C, cells: about.layers, classes: 10, partialChannels: about.K }
      const supernet = new Network(dartsSpace.supernet(size), init)
      const weights = namedParameters(supernet)
      for (const [name, weight] of weights) copy(weight, goldenOf(golden, `init/${name}`))
      const strategy = pcDarts.create(
        { space: dartsSpace, init, seed: 0, epochs: 50 },
        pcDarts.defaults(dartsSpace),
      )
      const own = strategy.parameters?.() ?? new Map<string, Tensor>()
      assert.deepEqual([...own.keys()].sort(), ['alpha.normal', 'alpha.reduce', 'beta.normal', 'beta.reduce'])
      for (const [name, tensor] of own) copy(tensor, goldenOf(golden, `init/${name}`))
      const archWeights: ArchWeightsOf = (group) => strategy.archWeights(group, 'train')
      for (const { name } of dartsSpace.choices)
        assertClose(archWeights(name).rows ?? null, goldenOf(golden, `edge-weights.${name}`), 'edge weights')
      const batch = { images: layout(goldenOf(golden, 'x')), labels: goldenOf(golden, 'y') }
      const forward = (training: boolean) => supernet.forward(batch.images, { training, archWeights }).logits
      // running statistics are those of one forward pass in the end
      const parameters = [...own, ...weights]
      const { gradients, outcome } = lossGradients(
        supernet,
        parameters.map(([, tensor]) => tensor),
        archWeights,
        batch,
      )
      assert.ok(Math.abs(outcome.loss.item() - goldenOf(golden, 'loss').floats()[0]) < 1e-5)
      assertClose(
        noGrad(() => forward(false)),
        goldenOf(golden, 'eval.logits'),
        'logits in evaluation',
      )
      assertClose(
        noGrad(() => forward(true)),
        goldenOf(golden, 'logits'),
        'logits',
      )
      let compared = 0
      for (const [at, [name]] of parameters.entries()) {
        const wanted = golden.get(`grad/${name}`)
        if (wanted === undefined) continue
        assertNorm(gradients[at], wanted, 1e-4, name)
        compared += 1
      }
      assert.equal(compared, [...golden.keys()].filter((name) => name.startsWith('grad/')).length)
      const found = strategy.derive(async () => assert.fail('nothing is measured'))
      const cells = z.object({ normal: genotype, reduce: genotype }).parse(found)
      for (const cell of ['normal', 'reduce'] as const) assert.deepEqual(cells[cell], about.genotype[cell])
      strategy.dispose()
    }),
  )
