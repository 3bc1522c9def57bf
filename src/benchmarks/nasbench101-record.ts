/** One record of NAS-Bench-101: JSON of hash, epochs, adjacency, operations and, in base64, a message of metrics, all checked. */
import { parseJson } from '../checks.ts'
import type { Refuse } from '../formats/byte-reader.ts'
import { ProtobufReader, wireTypes } from '../formats/protobuf.ts'
import { type CellGraph, most, type OperationName, operationNames } from '../spaces/nasbench101/graph.ts'
import { isHash, type Nasbench101Training, nasbench101Trainings } from './nasbench101.ts'

/** A cell, and one of its trainings. */
export interface Nasbench101Record {
  readonly hash: string
  readonly epochs: Nasbench101Training
  /** `0101…`, row by row, and `input,conv3x3-bn-relu,…`: as they stand there. */
  readonly adjacency: string
  readonly operations: string
  readonly metrics: Metrics
}

/** Of a training: accuracies 0 … 1 after its last epoch, seconds, and trained parameters of the network. */
export interface Metrics {
  readonly validation: number
  readonly test: number
  readonly seconds: number
  readonly parameters: number
}

/** Reads a record; `refuse` is told what is wrong with it. */
export function readRecord(data: Uint8Array, refuse: Refuse): Nasbench101Record {
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1')
  const parsed = parseJson(text)
  // by hand: a schema takes longer than all else of a record
  const [hash, given, adjacency, operations, metrics]: readonly unknown[] = Array.isArray(parsed)
    ? parsed
    : []
  if (
    !(Array.isArray(parsed) && parsed.length === 5 && typeof given === 'number') ||
    !(typeof hash === 'string' && typeof adjacency === 'string' && typeof operations === 'string') ||
    typeof metrics !== 'string'
  )
    throw refuse('is not a list of hash, epochs, adjacency, operations and metrics')
  if (!isHash(hash)) throw refuse(`has the hash ${JSON.stringify(hash.slice(0, 40))}`)
  const epochs = nasbench101Trainings.find((known) => known === given)
  if (epochs === undefined)
    throw refuse(`is of ${given} epochs, where trainings have ${nasbench101Trainings.join(', ')}`)
  return { hash, epochs, adjacency, operations, metrics: readMetrics(Buffer.from(metrics, 'base64'), refuse) }
}

/** Numbers of the message's fields, of ModelMetrics and of EvaluationData inside. */
const fields = { evaluation: 1, parameters: 2, seconds: 2, validation: 4, test: 5 } as const

/** Evaluations before the first step, halfway, and at the end. */
const evaluations = 3

function readMetrics(data: Uint8Array, refuse: Refuse): Metrics {
  const reader = new ProtobufReader(data, refuse)
  let parameters: number | undefined
  let last: Uint8Array | undefined
  let count = 0
  while (reader.next()) {
    if (reader.field === fields.evaluation && reader.type === wireTypes.bytes) {
      last = reader.bytes()
      count += 1
    } else if (reader.field === fields.parameters && reader.type === wireTypes.varint)
      parameters = reader.varint()
    else reader.skip()
  }
  if (last === undefined || count !== evaluations)
    throw refuse(`has ${count} evaluations, where there are ${evaluations} of each training`)
  if (parameters === undefined || parameters < 1 || parameters > 2 ** 31)
    throw refuse(`has ${parameters ?? 'no'} trained parameters`)
  return { ...readEvaluation(last, refuse), parameters }
}

function readEvaluation(data: Uint8Array, refuse: Refuse): Omit<Metrics, 'parameters'> {
  const reader = new ProtobufReader(data, refuse)
  let [seconds, validation, test] = [Number.NaN, Number.NaN, Number.NaN]
  while (reader.next()) {
    if (reader.type !== wireTypes.fixed64) reader.skip()
    else if (reader.field === fields.seconds) seconds = reader.double()
    else if (reader.field === fields.validation) validation = reader.double()
    else if (reader.field === fields.test) test = reader.double()
    else reader.skip()
  }
  for (const [name, accuracy] of [
    ['validation', validation],
    ['test', test],
  ] as const)
    if (!(accuracy >= 0 && accuracy <= 1)) throw refuse(`has the ${name} accuracy ${accuracy}`)
  if (!(seconds >= 0 && seconds < Number.POSITIVE_INFINITY)) throw refuse(`took ${seconds} seconds`)
  return { seconds, validation, test }
}

/** The cell of a record: one that hangs together is in the benchmark, without loose ends. */
export function graphOfRecord(
  { adjacency, operations }: Pick<Nasbench101Record, 'adjacency' | 'operations'>,
  refuse: Refuse,
): CellGraph {
  const names = operations.split(',', most.vertices + 1)
  const vertices = names.length
  if (vertices < 2 || vertices > most.vertices || names[0] !== 'input' || names[vertices - 1] !== 'output')
    throw refuse(`has the operations ${JSON.stringify(operations.slice(0, 80))}`)
  const inner = names.slice(1, -1).map((name): OperationName => {
    const known = operationNames.find((operation) => operation === name)
    if (known === undefined) throw refuse(`has an operation ${JSON.stringify(name.slice(0, 40))}`)
    return known
  })
  if (adjacency.length !== vertices ** 2 || !/^[01]*$/.test(adjacency))
    throw refuse(`has no adjacency matrix of ${vertices} vertices`)
  const parents = Array.from({ length: vertices - 1 }, (): number[] => [])
  for (let from = 0; from < vertices; from++)
    for (let to = 0; to < vertices; to++) {
      if (adjacency[from * vertices + to] === '0') continue
      if (to <= from) throw refuse(`has an edge from vertex ${from} back to ${to}`)
      parents[to - 1].push(from)
    }
  return { operations: inner, parents }
}
