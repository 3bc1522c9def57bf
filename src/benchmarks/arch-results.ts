/**
 * What NAS-Bench-201 and NATS-Bench keep of one architecture's trainings, the attributes of their class ArchResults: found in a
 * pickle while it is read, turned into a row, and let go.
 */
import type { Refuse } from '../formats/byte-reader.ts'
import { textWeight } from '../formats/pickle.ts'
import {
  accuracyColumn,
  costColumn,
  type Dataset,
  nasbench201Columns,
  type Split,
  splits,
  trainings,
} from './nasbench201.ts'
import type { ResultMap, ResultValue } from './results-pickle.ts'
import type { Recorded } from './table-builder.ts'

interface Measured {
  readonly dataset: Dataset
  /** The published names of the splits whose accuracy is kept. */
  readonly published: Readonly<Partial<Record<Split, string>>>
}

/**
 * By the published name of the data set. A network that is tested on CIFAR-10 was trained on all training images; one that is
 * validated, on half of them.
 */
const measured = new Map<unknown, Measured>([
  ['cifar10-valid', { dataset: 'cifar10', published: { validation: 'x-valid' } }],
  ['cifar10', { dataset: 'cifar10', published: { test: 'ori-test' } }],
  ['cifar100', { dataset: 'cifar100', published: { validation: 'x-valid', test: 'x-test' } }],
  ['ImageNet16-120', { dataset: 'imagenet16-120', published: { validation: 'x-valid', test: 'x-test' } }],
])

/** Takes an architecture's number, text and numbers, none of them checked. */
export type OnArchitecture = (index: unknown, text: unknown, recorded: Recorded) => void

/** What `readPickle` takes as `grown`: each architecture goes to `add` as soon as it is complete, and is emptied. */
export function collectResults(add: OnArchitecture, refuse: Refuse): (dictionary: ResultMap) => number {
  const seen = new WeakSet<object>()
  return (dictionary) => {
    const results = dictionary.get('all_results')
    if (results === undefined || !dictionary.has('arch_str')) return 0
    if (!(results instanceof Map)) throw refuse('it holds results that are no dictionary')
    add(dictionary.get('arch_index'), dictionary.get('arch_str'), recordedIn(results, refuse))
    const weight = weigh(dictionary, seen)
    // by whatever else refers to it, it shall not stay
    dictionary.clear()
    return weight
  }
}

/** Means over all trainings of a data set, which differ in their seeds. */
function recordedIn(results: ResultMap, refuse: Refuse): Record<string, number> {
  const sums = new Map<string, { sum: number; count: number }>()
  const note = (column: string, value: ResultValue | undefined) => {
    if (value === undefined || value === null) return
    if (typeof value !== 'number') throw refuse(`it holds something other than a number for ${column}`)
    const { sum, count } = sums.get(column) ?? { sum: 0, count: 0 }
    sums.set(column, { sum: sum + value, count: count + 1 })
  }
  for (const result of results.values()) {
    if (!(result instanceof Map)) throw refuse('it holds a training that is no dictionary')
    noteTraining(result, note)
  }
  return Object.fromEntries(
    [...sums].map(([column, { sum, count }]) => [column, rounded(column, sum / count)]),
  )
}

/**
 * Accuracies to the four digits that they are published with: finer than one image of one seed, and coarser than what float32
 * left, by which equal ones would differ.
 */
function rounded(column: string, value: number): number {
  return Number(nasbench201Columns.get(column) === '%' ? value.toFixed(4) : value.toPrecision(10))
}

function noteTraining(
  result: ResultMap,
  note: (column: string, value: ResultValue | undefined) => void,
): void {
  const about = measured.get(result.get('name'))
  const epochs = trainings.find((training) => training === result.get('epochs'))
  if (about === undefined || epochs === undefined) return
  const { dataset, published } = about
  const accuracies = result.get('eval_acc1es')
  if (accuracies instanceof Map) {
    for (const split of splits) {
      const name = published[split]
      if (name !== undefined)
        note(accuracyColumn(dataset, split, epochs), accuracies.get(`${name}@${epochs - 1}`))
    }
  }
  const parameters = result.get('params')
  note(
    costColumn(dataset, 'parameters'),
    typeof parameters === 'number' ? Math.round(parameters * 1e6) : parameters,
  )
  note(costColumn(dataset, 'multiply-adds'), result.get('flop'))
}

/** How many values a value holds, but none that was counted before. */
function weigh(root: ResultValue, seen: WeakSet<object>): number {
  let weight = 0
  const open: ResultValue[] = [root]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value === 'string') weight += textWeight(value)
    else weight += 1
    if (!(value instanceof Map || Array.isArray(value)) || seen.has(value)) continue
    seen.add(value)
    // keys and plain values count without a look at each: most are numbers
    weight += value instanceof Map ? value.size : 0
    for (const item of value.values())
      if (typeof item === 'object' && item !== null) open.push(item)
      else weight += 1
  }
  return weight
}
