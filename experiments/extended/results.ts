/**
 * What changes of DDSAS do: a CSV beside this file with every epoch of the searches given, and on the screen a table of what a
 * benchmark has recorded of the cell after the last one. `node --import tsx experiments/extended/results.ts TABLE RUN…`
 */
import { join } from 'node:path'
import { z } from 'zod'
import { judgeOf, openTable } from '../../src/benchmarks/index.ts'
import { writeFileAtomic } from '../../src/runs/files.ts'
import { RunFolder } from '../../src/runs/folder.ts'
import { published } from '../../src/strategies/ddsas/extended.ts'
import { csv, type Row, rowsOf } from '../nasbench201/epochs.ts'

const configSchema = z.object({
  config: z.object({
    strategy: z.string(),
    ddsas: z.object({ extended: z.record(z.string(), z.unknown()).default({}) }).optional(),
  }),
})

/** What a search has that the published one has not: "saliencyDecay=0.99"; the strategy where there is nothing. */
function changeOf(run: RunFolder): string {
  const { strategy, ddsas } = configSchema.parse(run.config).config
  const usual = new Map<string, unknown>(Object.entries(published))
  const changed = Object.entries(ddsas?.extended ?? {}).filter(([key, value]) => usual.get(key) !== value)
  return changed.map(([key, value]) => `${key}=${value}`).join(' ') || strategy
}

const shown = {
  'CIFAR-10': 'cifar10_test',
  'CIFAR-100': 'cifar100_test',
  'ImageNet16-120': 'imagenet16_120_test',
  rank: 'rank',
  depth: 'depth',
  skips: 'skip_connect',
}

/** Mean and, of several, the standard deviation (n - 1). */
function summary(values: readonly number[]): string {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  if (values.length === 1) return String(Number(mean.toFixed(2)))
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return `${mean.toFixed(2)} ± ${Math.sqrt(squares / (values.length - 1)).toFixed(2)}`
}

/** A line for each change, over its seeds: of the last epoch of each, which must be as many. */
function table(lasts: ReadonlyMap<string, readonly Row[]>): string {
  const lines = [...lasts].map(([change, rows]) => {
    const epochs = [...new Set(rows.map(({ epoch }) => epoch))].join(' and ')
    const columns = Object.values(shown).map((key) => summary(rows.map((row) => Number(row[key]))))
    return [change, rows.length, epochs, ...columns]
  })
  const head = ['change', 'seeds', 'epochs', ...Object.keys(shown)]
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

const [tablePath, ...paths] = process.argv.slice(2)
if (tablePath === undefined || paths.length === 0) {
  console.error('results: give the file of a table, and folders of searches')
  process.exitCode = 2
} else {
  const judge = judgeOf(openTable(tablePath))
  const lasts = new Map<string, Row[]>()
  const all = paths.flatMap((path) => {
    const run = RunFolder.open(path)
    const change = changeOf(run)
    const rows = rowsOf(run, judge)
    lasts.set(change, [...(lasts.get(change) ?? []), ...rows.slice(-1)])
    return rows.map((row) => ({ change, ...row }))
  })
  writeFileAtomic(join(import.meta.dirname, 'results.csv'), csv(all))
  console.log(table(lasts))
}
