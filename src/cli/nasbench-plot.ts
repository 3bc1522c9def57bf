/** `ddsas nasbench plot`: charts of all architectures by accuracy and cost, with those that runs found. */
import { basename, join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import {
  accuracyColumn,
  type BenchmarkTable,
  costColumn,
  type Dataset,
  datasets,
  findRow,
  nasbench201,
  openTable,
} from '../benchmarks/index.ts'
import { DdsasError } from '../errors.ts'
import type { BenchmarkChart } from '../export/benchmark-chart.ts'
import { writeDrawing } from '../runs/files.ts'
import { RunFolder } from '../runs/folder.ts'
import { nasbench201Space } from '../spaces/nasbench201/space.ts'
import { type TableOptions, tableOption } from './nasbench-table.ts'
import { datasetNames } from './nasbench-text.ts'
import { suggesting } from './suggestions.ts'

interface PlotOptions extends TableOptions {
  readonly out: string
  readonly run: readonly string[]
  readonly dataset: Dataset
}

export function plotCommand(): Command {
  const run = new Option('--run <dir>', 'mark the cell that a run found; may be repeated')
    .argParser((value, all: readonly string[]) => [...all, value])
    .default([], 'none')
  return new Command('plot')
    .description("chart NAS-Bench-201's test accuracies against parameters and multiply-adds, SVG and PNG")
    .addOption(tableOption())
    .requiredOption('--out <dir>', 'folder for the charts')
    .addOption(suggesting(run, [], true))
    .addOption(new Option('--dataset <name>', 'on which data set').choices(datasets).default('cifar10'))
    .option('--json', 'print the paths as JSON')
    .action(plotAction)
}

/** A row of the table, and what it is called in a chart. */
interface Marked {
  readonly label: string
  readonly row: number
}

const costs = [
  { name: 'parameters', title: 'parameters, millions', scale: 1e-6 },
  { name: 'multiply-adds', title: 'multiply-adds, millions', scale: 1 },
] as const

async function plotAction({ out, run, dataset, ...options }: PlotOptions): Promise<void> {
  const table = openTable(options.table, nasbench201.space)
  const marked = markedRows(table, run)
  // Vega takes a tenth of a second to load, which no other command should wait for
  const [{ benchmarkChart }, { drawChart }] = await Promise.all([
    import('../export/benchmark-chart.ts'),
    import('../export/chart.ts'),
  ])
  const paths: string[] = []
  for (const cost of costs) {
    const chart = await drawChart(benchmarkChart(contentOf(table, dataset, cost, marked)))
    paths.push(...writeDrawing(resolve(out), `${dataset}-${cost.name}`, chart))
  }
  console.log(
    options.json === true ? JSON.stringify({ paths }) : paths.map((path) => `drawn: ${path}`).join('\n'),
  )
}

/** The cells that runs found, each once. */
function markedRows(table: BenchmarkTable, runs: readonly string[]): Marked[] {
  const names = new Map<number, string[]>()
  for (const path of runs) {
    const row = findRow(table, cellOf(path))
    names.set(row, [...(names.get(row) ?? []), basename(resolve(path))])
  }
  return [...names].map(([row, [first, ...others]]) => ({
    label: others.length === 0 ? first : `${first} and ${others.length} more`,
    row,
  }))
}

/** The text of the cell that a run found last. */
function cellOf(path: string): string {
  const run = RunFolder.open(path)
  const value = run.readGenotype()
  if (value === undefined)
    throw new DdsasError('input', `${path} has no genotype.json yet; wait until its search has derived one`)
  return nasbench201Space.format(nasbench201Space.parse(value, join(run.path, 'genotype.json')))
}

function contentOf(
  table: BenchmarkTable,
  dataset: Dataset,
  { name, title, scale }: (typeof costs)[number],
  marked: readonly Marked[],
): BenchmarkChart {
  const accuracies = table.column(accuracyColumn(dataset, 'test')).values
  const values = table.column(costColumn(dataset, name)).values
  const pointOf = (row: number) => ({ cost: scale * values[row], accuracy: accuracies[row] })
  const rows = Array.from(table.keys.keys()).filter(
    (row) => !Number.isNaN(accuracies[row]) && !Number.isNaN(values[row]),
  )
  const points = rows.map(pointOf)
  if (points.length === 0)
    throw new DdsasError(
      'input',
      `the table has no architecture with accuracy and ${name}; import a source that has`,
    )
  const missing = marked.find(({ row }) => !rows.includes(row))
  if (missing !== undefined)
    throw new DdsasError(
      'input',
      `the table has no accuracy or no ${name} of the cell of run ${missing.label}; leave that --run out`,
    )
  return {
    title: `${table.benchmark}: ${datasetNames[dataset]} after 200 epochs`,
    subtitle: `${points.length.toLocaleString('en-US')} of ${table.architectures.toLocaleString('en-US')} architectures`,
    costTitle: title,
    points,
    marked: marked.map(({ label, row }) => ({
      label: `${label} ${accuracies[row].toFixed(2)}`,
      ...pointOf(row),
    })),
  }
}
