/**
 * How long DDSAS samples in turn: in windows of real searches, and in made ones where zeta moves as fast as Adam can, by the scoring
 * and sampling of the search. `node --import tsx experiments/extended/round-robin.ts [RUN…]`
 */
import { readWindows } from '../../src/index.ts'
import { RunFolder } from '../../src/runs/folder.ts'
import type { EdgeMask, EdgeMatrix } from '../../src/strategies/ddsas/mixture.ts'
import { closeWindow, emptyState } from '../../src/strategies/ddsas/saliency.ts'
import { sampleSubspace } from '../../src/strategies/ddsas/subspace.ts'
import { explorationBonus, meanScores, upperBounds } from '../../src/strategies/ddsas/ucb.ts'
import { Generator } from '../../src/torch/index.ts'

/** Of one window and group, when it was sampled; `none` is column 0, as in both spaces. */
interface Look {
  readonly epoch: number
  readonly zeta: EdgeMatrix
  readonly pulls: EdgeMatrix
  readonly mask: EdgeMask
  readonly mean: EdgeMatrix
  readonly bonus: EdgeMatrix
}

const withoutNone = <Value>(matrix: readonly (readonly Value[])[]) => matrix.flatMap((row) => row.slice(1))

function range(matrix: EdgeMatrix): number {
  const values = withoutNone(matrix)
  return Math.max(...values) - Math.min(...values)
}

/** The part of a subspace that would also be sampled by other scores. */
function agreement({ mask, zeta }: Look, scores: EdgeMatrix): number {
  const size = withoutNone(mask).filter(Boolean).length
  const all = mask.map((row) => row.map(() => true))
  const other = withoutNone(sampleSubspace(scores, zeta, all, { size, none: 0, noneCounts: false }))
  return withoutNone(mask).filter((is, at) => is && other[at]).length / size
}

function* looksOf(run: RunFolder): Iterable<Look> {
  for (const { epoch, groups } of readWindows(run))
    for (const group of Object.values(groups)) yield { epoch, ...group }
}

interface Made {
  readonly edges: number
  readonly operations: number
  readonly epochs: number
  /** Whether an operation's zeta always moves the same way, or each window another. */
  readonly steady: boolean
}

/**
 * Windows of made searches: 391 steps an epoch, of which windows of 30 and one of 1; in each of its steps zeta of a sampled operation
 * moves by at most Adam's learning rate, 3e-4: by a part of it that is drawn evenly between -1 and 1, once or for every window.
 */
function* made({ edges, operations, epochs, steady }: Made): Iterable<Look> {
  const generator = new Generator(0, 'round-robin')
  const drawn = () =>
    Array.from({ length: edges }, () => Array.from({ length: operations }, () => 2 * generator.uniform() - 1))
  let zeta: EdgeMatrix = drawn().map((row) => row.map((x) => 1e-3 * x))
  const own = drawn()
  let memory = emptyState(edges, operations, 1)
  for (let window = 0; window < 14 * epochs; window++) {
    const { pulls, available } = memory
    const [totalPulls, steps] = [window + 1, window % 14 === 13 ? 1 : 30]
    const mean = meanScores(zeta)
    const scores = upperBounds(mean, pulls, totalPulls, 1.44)
    const mask = sampleSubspace(scores, zeta, available, { size: 2 * edges, none: 0, noneCounts: false })
    const bonus = explorationBonus(pulls, totalPulls, 1.44)
    yield { epoch: Math.floor(window / 14), zeta, pulls, mask, mean, bonus }
    const way = steady ? own : drawn()
    zeta = zeta.map((row, edge) => row.map((x, k) => (mask[edge][k] ? x + 3e-4 * steps * way[edge][k] : x)))
    memory = closeWindow({ ...memory, mask }, mean)
  }
}

const figures = {
  't, most - least': ({ pulls }: Look) => range(pulls),
  'bonus, most - least': ({ bonus }: Look) => range(bonus),
  'mean, most - least': ({ mean }: Look) => range(mean),
  'as by t alone': (look: Look) => agreement(look, look.bonus),
  'as by mean alone': (look: Look) => agreement(look, look.mean),
}

/** Means over the windows of each epoch. */
function table(title: string, looks: Iterable<Look>, shown: (epoch: number) => boolean): string {
  const epochs = new Map<number, Look[]>()
  for (const look of looks) epochs.set(look.epoch, [...(epochs.get(look.epoch) ?? []), look])
  const rows = [...epochs].flatMap(([epoch, windows]) => {
    if (!shown(epoch)) return []
    const means = Object.values(figures).map(
      (of) => windows.reduce((sum, look) => sum + of(look), 0) / windows.length,
    )
    return [[String(epoch + 1), ...means.map((mean) => mean.toFixed(3))].join(' | ')]
  })
  return [
    title,
    '',
    `| epoch | ${Object.keys(figures).join(' | ')} |`,
    ...rows.map((row) => `| ${row} |`),
    '',
  ].join('\n')
}

const some = (epoch: number) => [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50].includes(epoch + 1)
for (const path of process.argv.slice(2)) console.log(table(path, looksOf(RunFolder.open(path)), () => true))
for (const [space, edges, operations] of [
  ['NAS-Bench-201', 6, 5],
  ['DARTS', 14, 8],
] as const)
  for (const steady of [true, false]) {
    const title = `made, ${space}, each zeta ${steady ? 'always the same way' : 'each window another way'}`
    console.log(table(title, made({ edges, operations, epochs: 50, steady }), some))
  }
