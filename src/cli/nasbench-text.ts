/** What the commands `ddsas nasbench` print for people. */
import {
  type Accuracies,
  accuracyColumn,
  costColumn,
  type Dataset,
  datasets,
  splits,
} from '../benchmarks/index.ts'
import { counted } from '../words.ts'
import type { Best, Coverage, Query, Ranks, Search } from './nasbench-answers.ts'

/** As they are written. */
export const datasetNames: Readonly<Record<Dataset, string>> = {
  cifar10: 'CIFAR-10',
  cifar100: 'CIFAR-100',
  'imagenet16-120': 'ImageNet16-120',
}

/** Cells in columns; the first to the left, all others to the right. */
function inColumns(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows
  const widths = head.map((_, at) => Math.max(...rows.map((row) => row[at].length)))
  const line = (row: readonly string[]) =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}

function percent(value: number | undefined): string {
  return value === undefined ? '-' : value.toFixed(2)
}

/** A remark where a table lacks architectures, or nothing. */
function coverageText({ rows, of }: Coverage): string[] {
  return rows === of
    ? []
    : [`The table has ${rows.toLocaleString('en-US')} of ${of.toLocaleString('en-US')} architectures.`]
}

/** How many numbers of equal cells a line shows. */
const mostShown = 12

export function queryText(result: Query): string {
  const { index, architecture, canonical, connected, same, recorded, trainings, coverage } = result
  const number = (name: string, digits: number) => recorded[name]?.toFixed(digits) ?? '-'
  const [longest, ...others] = trainings
  const rows = datasets.flatMap((dataset) => {
    const names = trainings.flatMap((epochs) => splits.map((split) => accuracyColumn(dataset, split, epochs)))
    if (dataset !== 'cifar10' && trainings.length > 2 && names.every((name) => recorded[name] === undefined))
      return []
    return [
      [
        datasetNames[dataset],
        ...names.map((name) => number(name, 2)),
        recorded[costColumn(dataset, 'parameters')]?.toLocaleString('en-US') ?? '-',
        number(costColumn(dataset, 'multiply-adds'), 2),
      ],
    ]
  })
  const head = [
    'accuracy, %',
    ...['valid', 'test', ...others.flatMap((epochs) => [`valid ${epochs}`, `test ${epochs}`])],
    ...['parameters', 'multiply-adds, M'],
  ]
  const shown = same.slice(0, mostShown).map((other) => `#${other}`)
  const more = same.length > mostShown ? ` and ${same.length - mostShown} more` : ''
  return [
    `#${index}  ${architecture}`,
    `canonical form  ${canonical}`,
    connected
      ? 'its input reaches its output'
      : 'its input does not reach its output: every image gets the same answer',
    same.length === 0
      ? 'no other cell of the table computes the same'
      : `${counted(same.length, 'other cell')} ${same.length === 1 ? 'computes' : 'compute'} the same: ${shown.join(', ')}${more}`,
    '',
    inColumns([head, ...rows]),
    '',
    `valid, test: after ${longest} epochs; ${others.map((epochs) => `valid ${epochs}, test ${epochs}: after a training of ${epochs}`).join('; ')}.`,
    ...coverageText(coverage),
  ].join('\n')
}

export function rankText({ index, architecture, ranks, coverage }: Ranks): string {
  const rows = ranks.map(({ dataset, split, value, rank, ties, of, percentile }) => [
    `${datasetNames[dataset]}, ${split}`,
    percent(value),
    `${rank.toLocaleString('en-US')} of ${of.toLocaleString('en-US')}${ties > 1 ? ` (${ties} tie)` : ''}`,
    `better than ${percentile.toFixed(2)} %`,
  ])
  const lines =
    rows.length === 0 ? ['no accuracy of it was recorded'] : [inColumns([['', '%', 'rank', ''], ...rows])]
  return [`#${index}  ${architecture}`, '', ...lines, ...coverageText(coverage)].join('\n')
}

function testOf(accuracies: Accuracies, dataset: Dataset): string {
  return percent(accuracies[dataset].test)
}

/** The data sets of which some of these have an accuracy: a benchmark may know of one alone. */
function recordedSets(found: readonly { readonly accuracies: Accuracies }[], split: 'validation' | 'test') {
  return datasets.filter((name) => found.some(({ accuracies }) => accuracies[name][split] !== undefined))
}

export function bestText({ dataset, split, epochs, best, coverage }: Best): string {
  const sets = recordedSets(best, split)
  const rows = best.map(({ rank, index, architecture, accuracies }) => [
    String(rank),
    ...sets.map((name) => percent(accuracies[name][split])),
    `#${index}`,
    architecture,
  ])
  const head = ['rank', ...sets.map((name) => datasetNames[name]), '', '']
  return [
    `best by ${split} accuracy on ${datasetNames[dataset]}, in %, after ${epochs} epochs`,
    inColumns([head, ...rows]),
    ...coverageText(coverage),
  ].join('\n')
}

export function searchText({ dataset, samples, seeds, finds, test, coverage }: Search): string {
  const sets = recordedSets(finds, 'test')
  const rows = finds.map(({ seed, index, accuracies }) => [
    `seed ${seed}`,
    ...sets.map((name) => testOf(accuracies, name)),
    `#${index}`,
  ])
  const means = sets.map((name) => {
    const spread = test[name]
    return spread === undefined ? '-' : `${spread.mean.toFixed(2)} ± ${spread.std.toFixed(2)}`
  })
  return [
    `random search: the best of ${samples} by validation accuracy on ${datasetNames[dataset]}; test accuracies in %, ${counted(seeds, 'seed')}`,
    inColumns([['', ...sets.map((name) => datasetNames[name]), ''], ...rows, ['mean ± std', ...means, '']]),
    ...coverageText(coverage),
  ].join('\n')
}
