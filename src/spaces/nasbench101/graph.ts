/**
 * Cells of NAS-Bench-101 as graphs: vertices with an operation each, of which the first is the input and the last the output; what
 * of them computes anything (ModelSpec of google-research/nasbench), and a hash that isomorphic ones share (its hash_module).
 */
import { hash } from 'node:crypto'
import { DdsasError } from '../../errors.ts'

/** The operations in the order that the benchmark's labels count them in. */
export const operationNames = ['conv3x3-bn-relu', 'conv1x1-bn-relu', 'maxpool3x3'] as const
export type OperationName = (typeof operationNames)[number]

/** Bounds of the benchmark. */
export const most = { vertices: 7, edges: 9 } as const

/** A cell whose vertices stand in the order in which they are computed. */
export interface CellGraph {
  /** Of the vertices between input and output. */
  readonly operations: readonly OperationName[]
  /** For each vertex but the input those it reads, ascending; the output's are the last. */
  readonly parents: readonly (readonly number[])[]
}

/** `matrix[from][to]`: whether `to` reads `from`. */
export function adjacencyOf({ parents }: CellGraph): number[][] {
  const vertices = parents.length + 1
  return Array.from({ length: vertices }, (_, from) =>
    Array.from({ length: vertices }, (_, to) => (parents[to - 1]?.includes(from) ? 1 : 0)),
  )
}

/** How many edges it has. */
export function edgeCount({ parents }: CellGraph): number {
  return parents.reduce((sum, own) => sum + own.length, 0)
}

/** The vertices that are on a way from input to output; undefined where there is no such way. */
function used({ parents }: CellGraph): number[] | undefined {
  const output = parents.length
  const [fromInput, toOutput] = [new Set([0]), new Set([output])]
  for (let vertex = 1; vertex <= output; vertex++)
    if (parents[vertex - 1].some((from) => fromInput.has(from))) fromInput.add(vertex)
  for (let vertex = output; vertex > 0; vertex--)
    if (toOutput.has(vertex)) for (const from of parents[vertex - 1]) toOutput.add(from)
  return fromInput.has(output)
    ? Array.from({ length: output + 1 }, (_, vertex) => vertex).filter(
        (vertex) => fromInput.has(vertex) && toOutput.has(vertex),
      )
    : undefined
}

/** The same cell without what does not lie between input and output; undefined where its input does not reach its output. */
export function pruned(graph: CellGraph): CellGraph | undefined {
  const vertices = used(graph)
  if (vertices === undefined) return undefined
  return {
    operations: vertices.slice(1, -1).map((vertex) => graph.operations[vertex - 1]),
    parents: vertices
      .slice(1)
      .map((vertex) =>
        graph.parents[vertex - 1].flatMap((from) =>
          vertices.includes(from) ? [vertices.indexOf(from)] : [],
        ),
      ),
  }
}

/** Whether there is nothing to prune: each vertex but the output is read, and each but the input reads. */
export function isWhole({ parents }: CellGraph): boolean {
  let read = 0
  for (const own of parents) {
    if (own.length === 0) return false
    for (const from of own) read |= 1 << from
  }
  return read === (1 << parents.length) - 1
}

const md5 = (text: string): string => hash('md5', text)

/** There are few: degrees and labels of vertices. */
const firstHashes = new Map<string, string>()

function firstHash(outgoing: number, incoming: number, label: number): string {
  const text = `(${outgoing}, ${incoming}, ${label})`
  const known = firstHashes.get(text) ?? md5(text)
  firstHashes.set(text, known)
  return known
}

/**
 * The benchmark's name of a cell, 32 hexadecimal digits: each vertex's hash takes in those of its neighbours, as many times as
 * there are vertices. The cell has to be pruned.
 */
export function hashOf({ operations, parents }: CellGraph): string {
  const vertices = parents.length + 1
  const children = Array.from({ length: vertices }, (): number[] => [])
  for (const [index, own] of parents.entries()) for (const from of own) children[from].push(index + 1)
  const labels = [-1, ...operations.map((name) => operationNames.indexOf(name)), -2]
  const into = (vertex: number) => (vertex === 0 ? [] : parents[vertex - 1])
  let hashes = labels.map((label, vertex) => firstHash(children[vertex].length, into(vertex).length, label))
  for (let round = 0; round < vertices; round++) {
    const before = hashes
    const joined = (of: readonly number[]) =>
      of
        .map((vertex) => before[vertex])
        .sort()
        .join('')
    hashes = before.map((own, vertex) => md5(`${joined(into(vertex))}|${joined(children[vertex])}|${own}`))
  }
  return md5(
    `[${hashes
      .sort()
      .map((hash) => `'${hash}'`)
      .join(', ')}]`,
  )
}

/** `conv3x3-bn-relu(0) maxpool3x3(0,1) output(1,2)`: for each vertex those it reads; 0 is the input. */
export function formatGraph({ operations, parents }: CellGraph): string {
  return parents.map((own, index) => `${operations[index] ?? 'output'}(${own.join(',')})`).join(' ')
}

const form = 'write it as conv3x3-bn-relu(0) maxpool3x3(0,1) output(1,2), where 0 is the input'

/**
 * Reads what `formatGraph` writes.
 * @throws {DdsasError} `input` saying what is wrong with the text, which `source` names.
 */
export function parseGraph(text: string, source: string): CellGraph {
  const refuse = (what: string) => {
    const shown = JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
    return new DdsasError('input', `cell ${source}: ${shown}: ${what}; ${form}`)
  }
  const parts = text.trim().split(/\s+/)
  if (parts.length > most.vertices - 1)
    throw refuse(`it has more than ${most.vertices} vertices with the input`)
  const operations: OperationName[] = []
  const parents = parts.map((part, index) => {
    const [, name, list] = /^([\w-]+)\(([\d,]*)\)$/.exec(part) ?? []
    if (name === undefined) throw refuse(`'${part.slice(0, 40)}' is no vertex`)
    const isLast = index === parts.length - 1
    const known = operationNames.find((operation) => operation === name)
    if (isLast !== (name === 'output') || (!isLast && known === undefined))
      throw refuse(
        `'${name.slice(0, 40)}' stands where ${isLast ? 'the output has to' : `one of ${operationNames.join(', ')} has to`}`,
      )
    if (known !== undefined) operations.push(known)
    return parentsIn(list, index + 1, refuse)
  })
  return { operations, parents }
}

function parentsIn(list: string, vertex: number, refuse: (what: string) => DdsasError): number[] {
  const parents = list === '' ? [] : list.split(',').map(Number)
  const sound = parents.every(
    (parent, index) => parent < vertex && (index === 0 || parents[index - 1] < parent),
  )
  if (sound && !/^,|,,|,$/.test(list)) return parents
  throw refuse(
    `vertex ${vertex} reads (${list.slice(0, 40)}): it can read those before it, ascending and each once`,
  )
}
