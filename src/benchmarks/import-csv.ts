/** Tables from CSV: one line for each architecture, the columns named in the first. */
import { readFileSync, statSync } from 'node:fs'
import type { Refuse } from '../formats/byte-reader.ts'
import { reportRead } from '../runs/files.ts'
import { accuracyColumn, costColumn, datasets, type Split, splits, trainings } from './nasbench201.ts'
import { TableBuilder } from './table-builder.ts'

/** NAS-Bench-201's own has 4 MB. */
const maxBytes = 64 * 2 ** 20

const splitNames: Readonly<Record<Split, string>> = { validation: 'val', test: 'test' }

/** Names in the first line, and the columns of the table that they mean. */
const columnNames = new Map<string, string>(
  datasets.flatMap((dataset) => {
    const name = dataset.replace('-', '_')
    const accuracies = trainings.flatMap((epochs) =>
      splits.map((split): [string, string] => {
        const suffix = epochs === 200 ? '' : `_e${epochs}`
        return [`${name}_${splitNames[split]}${suffix}`, accuracyColumn(dataset, split, epochs)]
      }),
    )
    return [
      ...accuracies,
      [`params_${name}`, costColumn(dataset, 'parameters')] as const,
      [`flops_M_${name}`, costColumn(dataset, 'multiply-adds')] as const,
    ]
  }),
)

/**
 * Reads `index`, `arch_str` and what it knows of `cifar10_val`, `cifar10_test_e12`, `params_cifar10`, `flops_M_cifar10`, …; an
 * empty field is a number that was not recorded.
 */
export function importCsv(path: string, refuse: Refuse): TableBuilder {
  const bytes = reportRead(path, () => statSync(path).size)
  if (bytes > maxBytes) throw refuse(`it has ${bytes} bytes, more than ${maxBytes}`)
  const [head = '', ...lines] = reportRead(path, () => readFileSync(path, 'utf8')).split(/\r?\n/)
  const names = head.replace(/^\uFEFF/, '').split(',')
  const [index, text] = ['index', 'arch_str'].map((name) => names.indexOf(name))
  if (index < 0 || text < 0) throw refuse('its first line does not name the columns index and arch_str')
  const columns = names.map((name) => columnNames.get(name))
  const builder = new TableBuilder(refuse)
  for (const [at, line] of lines.entries()) {
    if (line === '') continue
    const fields = line.split(',')
    if (fields.length !== names.length)
      throw refuse(`its line ${at + 2} has ${fields.length} fields, the first has ${names.length}`)
    const recorded = fields.flatMap((field, column): [string, number][] => {
      const name = columns[column]
      return name === undefined ? [] : [[name, numberOf(field, at + 2, refuse)]]
    })
    builder.add(numberOf(fields[index], at + 2, refuse), fields[text], Object.fromEntries(recorded))
  }
  return builder
}

function numberOf(field: string, line: number, refuse: Refuse): number {
  if (field.trim() === '') return Number.NaN
  const value = Number(field)
  if (Number.isFinite(value)) return value
  throw refuse(`its line ${line} has ${JSON.stringify(field.slice(0, 40))} where a number must be`)
}
