/**
 * What a benchmark's table has recorded of the cell that a search would pick, epoch by epoch, for several searches: a CSV and a
 * chart beside this file. `node --import tsx experiments/nasbench201/curves.ts TABLE RUN…`
 */
import { join } from 'node:path'
import { judgeOf, openTable } from '../../src/benchmarks/index.ts'
import { type ChartSpec, drawChart } from '../../src/export/chart.ts'
import { writeFileAtomic } from '../../src/runs/files.ts'
import { RunFolder } from '../../src/runs/folder.ts'
import { csv, type Row, rowsOf } from './epochs.ts'

/** Accuracy of the cell of each epoch, a line a seed. */
function chartOf(rows: readonly Row[]): ChartSpec {
  return {
    title: {
      text: 'Test accuracy recorded for the cell that a search would pick',
      subtitle: 'NAS-Bench-201, CIFAR-10, N = 1, C = 16; a line for each seed',
    },
    width: 520,
    height: 320,
    data: { values: [...rows] },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'epoch', type: 'quantitative', title: 'epoch of the search', axis: { tickMinStep: 1 } },
      y: {
        field: 'cifar10_test',
        type: 'quantitative',
        title: 'CIFAR-10 test accuracy, %',
        scale: { zero: false },
      },
      color: { field: 'strategy', type: 'nominal', title: 'strategy' },
      strokeDash: {
        field: 'seed',
        type: 'nominal',
        title: 'seed',
        legend: { symbolType: 'stroke', symbolStrokeColor: 'black', symbolFillColor: 'transparent' },
      },
    },
  }
}

const [table, ...runs] = process.argv.slice(2)
if (table === undefined || runs.length === 0) {
  console.error('curves: give the file of a table, and folders of searches')
  process.exitCode = 2
} else {
  const judge = judgeOf(openTable(table))
  const rows = runs.flatMap((path) => rowsOf(RunFolder.open(path), judge))
  const { svg } = await drawChart(chartOf(rows))
  writeFileAtomic(join(import.meta.dirname, 'curves.csv'), csv(rows))
  writeFileAtomic(join(import.meta.dirname, 'curves.svg'), svg)
  console.log(`curves: ${rows.length} epochs of ${runs.length} searches`)
}
