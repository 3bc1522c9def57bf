/** DDSAS: its two variants as `method.md` lists them, by a replay in plain numbers; states; spaces that change. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CellType, cellTypes, type Genotype } from '../../../../src/spaces/darts/genotype.ts'
import { parseGenotype } from '../../../../src/spaces/darts/genotype-file.ts'
import { darts } from '../../../../src/spaces/darts/space.ts'
import type { Ddsas } from '../../../../src/strategies/ddsas/ddsas.ts'
import { variants } from '../../../../src/strategies/ddsas/settings.ts'
import { sampleSubspace } from '../../../../src/strategies/ddsas/subspace.ts'
import { crossEntropy, liveSlots, noGrad, tidy } from '../../../../src/torch/index.ts'
import { assertRefuses } from '../../runs/temporary.ts'
import { archStep, type DdsasOptions, makeStrategy, progressOf, supernetLogits, withTiny } from '../tiny.ts'
import { fingerprint, free, perEpoch, saved, update } from './states.ts'

/** What the paper and the published code do, written down once more. */
const manners = {
  'authors-code': { c: 1.44, prior: 1, noneCounts: false, restarts: true, lastCounts: false },
  paper: { c: Math.sqrt(2), prior: 0, noneCounts: true, restarts: false, lastCounts: true },
} as const

const operations = Object.keys(darts.operations)

test('the two variants hold the constants of the paper and of the published code', () => {
  const { 'authors-code': code, paper } = variants
  assert.deepEqual([code.exploration, code.prior, code.noneCounts], [1.44, 1, false])
  assert.deepEqual([paper.exploration, paper.prior, paper.noneCounts], [Math.sqrt(2), 0, true])
})

const matrixOf = (strategy: Ddsas<Genotype>, name: string) => strategy.parameters().get(name)?.matrix() ?? []
const logistic = (x: number) => 1 / (1 + Math.exp(-x))

/** p q of one edge by its definition. */
function weightsOf(alpha: number[], zeta: number[], mask: readonly boolean[]): number[] {
  const total = alpha.reduce((sum, a, k) => sum + (mask[k] ? Math.exp(a) : 0), 0)
  return alpha.map((a, k) => (mask[k] ? (logistic(zeta[k]) * Math.exp(a)) / total : 0))
}

/** The bookkeeping of one cell type, window by window. */
class Replay {
  readonly windows: { mask: readonly (readonly boolean[])[]; weights: number[][] }[] = []
  readonly cell: CellType
  readonly manner: (typeof manners)[keyof typeof manners]
  readonly size: number
  #mask: boolean[][] | undefined

  constructor(cell: CellType, variant: keyof typeof manners, size: number) {
    this.cell = cell
    this.manner = manners[variant]
    this.size = size
  }

  close(strategy: Ddsas<Genotype>): void {
    if (this.#mask === undefined) return
    const [alpha, zeta] = [matrixOf(strategy, `alpha.${this.cell}`), matrixOf(strategy, `zeta.${this.cell}`)]
    const mask = this.#mask
    this.windows.push({ mask, weights: mask.map((row, edge) => weightsOf(alpha[edge], zeta[edge], row)) })
  }

  open(strategy: Ddsas<Genotype>): boolean[][] {
    this.close(strategy)
    const { c, prior, noneCounts } = this.manner
    const zeta = matrixOf(strategy, `zeta.${this.cell}`)
    const samplings = this.windows.length + prior
    const scores = zeta.map((row, edge) =>
      row.map((value, k) => {
        const t = this.count(edge, k)
        return t === 0 ? Number.POSITIVE_INFINITY : logistic(value) + c * Math.sqrt(Math.log(samplings) / t)
      }),
    )
    const all = zeta.map((row) => row.map(() => true))
    this.#mask = sampleSubspace(scores, zeta, all, { size: this.size, none: 0, noneCounts })
    return this.#mask
  }

  #own(edge: number, k: number): number[] {
    return this.windows.flatMap(({ mask, weights }) => (mask[edge][k] ? [weights[edge][k]] : []))
  }

  count(edge: number, k: number): number {
    return this.#own(edge, k).length + this.manner.prior
  }

  saliency(edge: number, k: number): number {
    const own = this.#own(edge, k)
    return own.length === 0
      ? 0
      : own.reduce((sum, weight) => sum + weight, 0) / (own.length + this.manner.prior)
  }

  check(strategy: Ddsas<Genotype>, what: string): void {
    const { pulls, saliency } = strategy.memory(this.cell)
    for (const [edge, row] of saliency.entries())
      for (const [k, value] of row.entries()) {
        assert.equal(pulls[edge][k], this.count(edge, k), `t of ${edge}, ${k}, ${what}`)
        const wanted = this.saliency(edge, k)
        assert.ok(Math.abs(value - wanted) < 1e-6, `saliency of ${edge}, ${k}, ${what}: ${value}, ${wanted}`)
      }
  }
}

for (const variant of ['authors-code', 'paper'] as const)
  test(`${variant}: windows, subspaces, counts and saliency are those of a replay in plain numbers`, () => {
    const options = { variant, subspace: 40, window: 3 }
    withTiny(options, (tiny) => {
      const { strategy } = tiny
      const replays = cellTypes.map((cell) => new Replay(cell, variant, options.subspace))
      const { restarts, lastCounts } = manners[variant]
      let masks: boolean[][][] = []
      for (let total = 0; total < 4 * perEpoch; total++) {
        const counter = restarts ? total % perEpoch : total
        if (counter % options.window === 0) masks = replays.map((replay) => replay.open(strategy))
        update(tiny, total)
        for (const [i, cell] of cellTypes.entries())
          assert.deepEqual(strategy.memory(cell).mask, masks[i], `${cell} at step ${total}`)
        for (const replay of replays) replay.check(strategy, `step ${total}`)
      }
      assert.equal(replays[0].windows.length, restarts ? 7 : 6)
      strategy.finish(progressOf(4 * perEpoch, perEpoch))
      for (const replay of replays) {
        if (lastCounts) replay.close(strategy)
        replay.check(strategy, 'at the end')
      }
    })
  })

test('authors-code: none takes no place among L; paper: it does', () => {
  for (const [variant, size] of [
    ['authors-code', 40],
    ['paper', 40],
    ['authors-code', 112],
    ['paper', 112],
  ] as const)
    withTiny({ variant, subspace: size }, ({ strategy }) => {
      for (let window = 0; window < 3; window++) {
        strategy.openWindow()
        for (const cell of cellTypes) {
          const { mask } = strategy.memory(cell)
          const others = mask.map((row) => row.slice(1).filter(Boolean).length)
          assert.ok(Math.min(...others) >= 1)
          const sampled = others.reduce((sum, count) => sum + count, 0)
          const nones = mask.filter(([none]) => none).length
          const active = tidy(() => strategy.archWeights(cell).sampledOps)
          for (const [edge, row] of mask.entries())
            assert.deepEqual(
              active[edge],
              row.flatMap((on, k) => (on && k > 0 ? [k] : [])),
            )
          assert.equal(
            variant === 'paper' ? sampled + nones : sampled,
            Math.min(size, variant === 'paper' ? 112 : 98),
          )
        }
      }
    })
})

test('paper: nothing is sampled again before all was sampled, but where an edge has nothing new', () => {
  withTiny({ variant: 'paper', subspace: 30 }, ({ strategy }) => {
    for (let window = 0; window < 6; window++) {
      strategy.openWindow()
      const { mask, pulls } = strategy.memory('normal')
      const fresh = mask.flatMap((row, edge) => row.filter((sampled, k) => sampled && pulls[edge][k] === 0))
      const left = pulls.flat().filter((count) => count === 0).length
      const edgesWithoutNew = pulls.filter((row) => row.slice(1).every((count) => count > 0)).length
      assert.ok(fresh.length >= Math.min(left, 30 - edgesWithoutNew), `window ${window}: ${fresh.length} new`)
    }
    assert.ok(
      strategy
        .memory('normal')
        .pulls.flat()
        .every((count) => count > 0),
    )
  })
})

test('alpha and zeta start near zero, ~ 1e-3 N(0, 1), each drawn apart', () => {
  withTiny({}, ({ strategy }) => {
    const all = [...strategy.parameters()].map(([name, tensor]) => ({ name, values: tensor.matrix().flat() }))
    const names = ['alpha.normal', 'zeta.normal', 'alpha.reduce', 'zeta.reduce']
    assert.deepEqual(
      all.map(({ name }) => name),
      names,
    )
    for (const { name, values } of all) {
      const deviation = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / 112)
      assert.ok(deviation > 0.7e-3 && deviation < 1.3e-3, `${name}: ${deviation}`)
    }
    assert.equal(new Set(all.flatMap(({ values }) => values)).size, 448)
  })
})

test('an update reports the loss and the hits of the batch it was given, before it moves', () => {
  withTiny({}, (tiny) => {
    const { supernet, strategy, valid } = tiny
    tidy(() => {
      strategy.openWindow()
      const logits = noGrad(() => supernetLogits(supernet, strategy, valid.images))
      const wanted = crossEntropy(logits, valid.labels).item()
      const hits = logits.matrix().filter((row, i) => row.indexOf(Math.max(...row)) === [3, 8][i]).length
      const outcome = archStep(tiny)
      assert.ok(Math.abs(outcome.loss.item() - wanted) < 1e-5)
      assert.equal(outcome.correct.item(), hits)
    })
  })
})

test('L outside of 15 … 112, or no whole number, is refused with the range and leaves nothing behind', () => {
  const before = liveSlots()
  for (const subspace of [14, 113])
    assertRefuses(
      () => makeStrategy({ subspace }),
      'input',
      /15 … 112/,
      new RegExp(`L = ${subspace} does not fit the space 'darts'`),
    )
  for (const subspace of [0, -15, 28.5, Number.NaN, Number.POSITIVE_INFINITY])
    assertRefuses(() => makeStrategy({ subspace }), 'input', /^ddsas: ddsas\.subspace: /)
  assert.equal(liveSlots(), before)
  for (const subspace of [15, 112]) makeStrategy({ subspace }).dispose()
  assert.equal(liveSlots(), before)
})

for (const variant of ['authors-code', 'paper'] as const)
  test(`${variant}: another strategy goes on from a saved state to the bit, in the middle of a window`, () => {
    withTiny({ variant, window: 4 }, (tiny) => {
      for (let total = 0; total < 7; total++) update(tiny, total)
      const state = saved(tiny.strategy)
      for (let total = 7; total < 14; total++) update(tiny, total)
      const other = makeStrategy({ variant, window: 4 }, 77)
      other.load(state)
      free(state)
      for (let total = 7; total < 14; total++) update({ ...tiny, strategy: other }, total)
      assert.deepEqual(fingerprint(other), fingerprint(tiny.strategy))
      other.dispose()
    })
  })

test('a state that is malformed or of another space is refused, and changes nothing', () => {
  withTiny({}, ({ strategy }) => {
    strategy.openWindow()
    const before = fingerprint(strategy)
    const { tensors, data } = strategy.state()
    const { normal, reduce } = before.data.groups as Record<string, object>
    for (const bad of [{}, { ...data, totalPulls: 'x' }, { ...data, groups: { normal: {} } }])
      assertRefuses(() => strategy.load({ tensors, data: bad }), 'checkpoint', /strategy is malformed/)
    for (const groups of [{}, { normal }, { normal, other: reduce }, { normal, reduce, other: reduce }])
      assertRefuses(
        () => strategy.load({ tensors, data: { ...data, groups } }),
        'checkpoint',
        /of the groups .* instead of normal, reduce; resume with its own space/,
      )
    const fewer = new Map([...tensors].slice(1))
    assertRefuses(() => strategy.load({ tensors: fewer, data }), 'checkpoint', /'alpha\.normal' is missing/)
    assert.deepEqual(fingerprint(strategy), before)
  })
})

test('a memory of another size is refused', () => {
  withTiny({}, ({ strategy }) => {
    const { tensors, data } = strategy.state()
    const small = { saliency: [[0]], pulls: [[1]], mask: [[true]], available: [[true]] }
    const bad = { ...data, groups: { normal: small, reduce: small } }
    assertRefuses(
      () => strategy.load({ tensors, data: bad }),
      'checkpoint',
      /saliency of 'normal' is that of another space/,
    )
  })
})

test('the genotype is a valid cell from the first step on, with the most salient operations and never none', () => {
  withTiny({ window: 1 }, (tiny) => {
    for (let total = 0; total < 6; total++) {
      const genotype = parseGenotype(tiny.strategy.derive(), `step ${total}`)
      assert.deepEqual(genotype, tiny.strategy.derive())
      assert.deepEqual([genotype.normal_concat, genotype.normal.length], [[2, 3, 4, 5], 8])
      update(tiny, total)
    }
    for (const cell of cellTypes) {
      const { saliency } = tiny.strategy.memory(cell)
      for (const [i, [name, input]] of tiny.strategy.derive()[cell].entries()) {
        const node = Math.floor(i / 2)
        const row = saliency[(node * (node + 3)) / 2 + input]
        assert.equal(row[operations.indexOf(name)], Math.max(...row.slice(1)))
      }
    }
  })
})

/** For each epoch how many operations are available in each cell type; every subspace lies within them. */
function availableByEpoch(changes: DdsasOptions['changes'], epochs: number): number[][] {
  const found: number[][] = []
  withTiny({ changes, window: 2 }, (tiny) => {
    for (let total = 0; total < epochs * perEpoch; total++) {
      update(tiny, total)
      for (const cell of cellTypes) {
        const { mask, available } = tiny.strategy.memory(cell)
        for (const [edge, row] of mask.entries())
          for (const [k, sampled] of row.entries()) assert.ok(!sampled || available[edge][k])
      }
      if (total % perEpoch === 0)
        found.push(
          cellTypes.map((cell) => tiny.strategy.memory(cell).available.flat().filter(Boolean).length),
        )
    }
    parseGenotype(tiny.strategy.derive(), 'the last one')
  })
  return found
}

test('paper: a window across a shrink goes on as it was sampled, the next holds no deleted operation', () => {
  const changes = [{ epoch: 1, change: { kind: 'shrink', count: 70 } as const }]
  // windows of 2 * perEpoch - 1 steps: the second begins one step before the third epoch
  withTiny({ variant: 'paper', window: 2 * perEpoch - 1, subspace: 60, changes }, (tiny) => {
    const deleted = () =>
      cellTypes.flatMap((cell) => {
        const { mask, available } = tiny.strategy.memory(cell)
        return mask.flatMap((row, edge) => row.filter((sampled, k) => sampled && !available[edge][k]))
      }).length
    for (let total = 0; total < 2 * perEpoch; total++) {
      update(tiny, total)
      const across = total >= perEpoch && total < 2 * perEpoch - 1
      assert.equal(deleted() > 0, across, `step ${total}: ${deleted()} deleted operations run`)
      for (const cell of cellTypes) {
        const { available } = tiny.strategy.memory(cell)
        tiny.strategy.derive()[cell].forEach(([name, input], i) => {
          const node = Math.floor(i / 2)
          const k = operations.indexOf(name)
          assert.ok(available[(node * (node + 3)) / 2 + input][k], `step ${total}: ${name} is not available`)
        })
      }
    }
  })
})

test('spaces shrink and grow for both cell types at the epochs given, and subspaces lie within them', () => {
  const shrink = { kind: 'shrink', count: 14 } as const
  const shrinking = [1, 2, 4].map((epoch) => ({ epoch, change: shrink }))
  const both = (counts: number[]) => counts.map((count) => [count, count])
  assert.deepEqual(availableByEpoch(shrinking, 5), both([112, 98, 84, 84, 70]))
  const growing = [
    { epoch: 0, change: { kind: 'expand', from: 0, to: 3 } as const },
    { epoch: 1, change: { kind: 'expand', from: 3, to: 4 } as const },
    { epoch: 3, change: { kind: 'expand', from: 6, to: 8 } as const },
  ]
  assert.deepEqual(availableByEpoch(growing, 4), both([42, 56, 56, 84]))
})
