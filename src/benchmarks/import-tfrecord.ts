/** Tables from NAS-Bench-101's files, nasbench_full.tfrecord and nasbench_only108.tfrecord: a record for each training. */
import { closeSync, fstatSync, openSync } from 'node:fs'
import { ByteReader, type Refuse } from '../formats/byte-reader.ts'
import { fileParts } from '../formats/file-parts.ts'
import { readTfRecords } from '../formats/tfrecord-reader.ts'
import { reportRead } from '../runs/files.ts'
import { edgeCount, hashOf, isWhole, most as mostOfCells, pruned } from '../spaces/nasbench101/graph.ts'
import type { OnProgress } from './import-progress.ts'
import {
  keyOfCell,
  nasbench101,
  nasbench101Columns,
  nasbench101Trainings,
  timeColumn,
} from './nasbench101.ts'
import { graphOfRecord, type Nasbench101Record, readRecord } from './nasbench101-record.ts'
import { accuracyColumn, costColumn } from './nasbench201.ts'
import type { TableContent, TableSource } from './table.ts'

/** A record has 400 bytes. */
const maxRecordBytes = 2 ** 14

/** What was added up for each cell, by its place. */
class Sums {
  #values = new Float64Array(1024)

  add(at: number, value: number): void {
    if (at >= this.#values.length) {
      const longer = new Float64Array(2 * at)
      longer.set(this.#values)
      this.#values = longer
    }
    this.#values[at] += value
  }

  at(at: number): number {
    return this.#values[at] ?? 0
  }
}

/** A cell that was found, as its first record has it. */
interface FoundCell extends Pick<Nasbench101Record, 'adjacency' | 'operations'> {
  readonly place: number
  readonly key: string
  readonly parameters: number
}

/** Collects records, in any order, into the content of a table: means over the trainings of a cell that differ in chance alone. */
class RecordCollector {
  readonly #cells = new Map<string, FoundCell>()
  readonly #sums = new Map(
    nasbench101Trainings.map((epochs) => [
      epochs,
      { count: new Sums(), validation: new Sums(), test: new Sums(), seconds: new Sums() },
    ]),
  )

  get size(): number {
    return this.#cells.size
  }

  add(record: Nasbench101Record, refuse: Refuse): void {
    const { hash, epochs, metrics } = record
    const known = this.#cells.get(hash)
    const cell = known ?? foundCell(record, this.#cells.size, refuse)
    if (known === undefined) this.#cells.set(hash, cell)
    else if (known.adjacency !== record.adjacency || known.operations !== record.operations)
      throw refuse(`gives the hash ${hash} to another cell than a record before`)
    if (cell.parameters !== metrics.parameters)
      throw refuse(
        `has ${metrics.parameters} trained parameters, a record before of the same cell ${cell.parameters}`,
      )
    const sums = this.#sums.get(epochs)
    sums?.count.add(cell.place, 1)
    sums?.validation.add(cell.place, metrics.validation)
    sums?.test.add(cell.place, metrics.test)
    sums?.seconds.add(cell.place, metrics.seconds)
  }

  finish(source: TableSource): TableContent {
    const cells = [...this.#cells.values()]
    const columns = new Map([
      [costColumn('cifar10', 'parameters'), Float64Array.from(cells, ({ parameters }) => parameters)],
    ])
    for (const [epochs, { count, validation, test, seconds }] of this.#sums) {
      if (!cells.some(({ place }) => count.at(place) > 0)) continue
      const means = (sums: Sums, scale: number) =>
        Float64Array.from(cells, ({ place }) => rounded((scale * sums.at(place)) / count.at(place)))
      columns.set(accuracyColumn('cifar10', 'validation', epochs), means(validation, 100))
      columns.set(accuracyColumn('cifar10', 'test', epochs), means(test, 100))
      columns.set(timeColumn(epochs), means(seconds, 1))
    }
    const all = [...nasbench101Columns]
    return {
      ...nasbench101,
      source,
      columns: all.flatMap(([name, unit]) => {
        const values = columns.get(name)
        return values === undefined ? [] : [{ name, unit, values }]
      }),
      absent: all.flatMap(([name]) => (columns.has(name) ? [] : [name])),
      keys: cells.map(({ key }) => key),
      indexes: Uint32Array.from(cells, ({ place }) => place),
    }
  }
}

/** To four digits, as tables of NAS-Bench-201: coarser than what float32 left, finer than one image. */
function rounded(value: number): number {
  return Number(value.toFixed(4))
}

/** Of how many cells one is held against its hash, past the first that many: hashing takes longer than all else. */
const hashedOf = 16

/** A cell at its first record. */
function foundCell(record: Nasbench101Record, place: number, refuse: Refuse): FoundCell {
  const { hash, adjacency, operations, metrics } = record
  if (place >= nasbench101.architectures)
    throw refuse(`is of one cell more than the ${nasbench101.architectures} of the benchmark`)
  const graph = graphOfRecord(record, refuse)
  if (!isWhole(graph))
    throw refuse(
      pruned(graph) === undefined
        ? 'has a graph that is not connected: its input does not reach its output'
        : 'has a graph that is not connected: a vertex lies on no way from input to output',
    )
  const edges = edgeCount(graph)
  if (edges > mostOfCells.edges)
    throw refuse(`has ${edges} edges, where cells have up to ${mostOfCells.edges}`)
  // whoever asks for a cell has it held against its hash then
  if (place < hashedOf || place % hashedOf === 0) {
    const own = hashOf(graph)
    if (own !== hash) throw refuse(`has the hash ${hash}, where its cell has ${own}`)
  }
  return { place, key: keyOfCell(hash, graph), adjacency, operations, parameters: metrics.parameters }
}

/** The content of a table from such a file, which is read part by part. */
export function importTfRecord(
  path: string,
  refuse: Refuse,
  onProgress: OnProgress,
  source: TableSource,
): TableContent {
  return reportRead(path, () => {
    const file = openSync(path, 'r')
    try {
      const total = fstatSync(file).size
      const collector = new RecordCollector()
      let done = 0
      const onPart = (part: Uint8Array) => {
        done += part.length
        onProgress({ done, total, architectures: collector.size })
      }
      const reader = new ByteReader(new Uint8Array(0), 0, refuse, fileParts(file, 0, total, onPart))
      let number = 0
      const wrong: Refuse = (what) => refuse(`its record ${number} ${what}`)
      for (const data of readTfRecords(reader, total, maxRecordBytes, refuse)) {
        collector.add(readRecord(data, wrong), wrong)
        number += 1
      }
      if (collector.size === 0) throw refuse('it holds no records')
      return collector.finish(source)
    } finally {
      closeSync(file)
    }
  })
}
