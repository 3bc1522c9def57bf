/** Genotypes that come from outside, checked; and DARTS's text form `Genotype(normal=[('sep_conv_3x3', 0), ...], ...)`. */
import { readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import { checkText } from '../../checks.ts'
import { DdsasError } from '../../errors.ts'
import { type CellType, cellTypes, type Genotype, type GenotypeEdge } from './genotype.ts'
import { parsePythonCall } from './genotype-line.ts'

/** Operations a DARTS cell may hold. `none` is no operation of a genotype: it would be an edge that is not there. */
export const dartsGenotypeOperations: readonly string[] = [
  'max_pool_3x3',
  'avg_pool_3x3',
  'skip_connect',
  'sep_conv_3x3',
  'sep_conv_5x5',
  'dil_conv_3x3',
  'dil_conv_5x5',
]

/** Published cells have 4 or 5 nodes; the bound keeps a hostile file from building a network without end. */
const maxNodes = 16
const maxFileBytes = 1024 ** 2

const edgesSchema = z.array(z.tuple([z.string(), z.int()])).max(2 * maxNodes)
const concatSchema = z.array(z.int()).max(maxNodes)
const genotypeSchema = z.object({
  normal: edgesSchema,
  normal_concat: concatSchema,
  reduce: edgesSchema,
  reduce_concat: concatSchema,
})

/**
 * Checks a genotype from outside: two edges with different inputs for each node, known operations, inputs that
 * exist (node n reads 0..n+1), and a concatenation of distinct nodes. Other keys of the object are dropped.
 * @param source where the value is from, for the error.
 * @throws {DdsasError} `input`, naming the source, the field and the remedy.
 */
export function parseGenotype(
  value: unknown,
  source: string,
  operations: readonly string[] | 'any' = dartsGenotypeOperations,
): Genotype {
  const parsed = genotypeSchema.safeParse(value)
  if (!parsed.success) {
    const [first] = parsed.error.issues
    const field = z.core.toDotPath(first?.path ?? []) || 'value'
    throw refuse(
      source,
      field,
      `${first?.message ?? 'not a genotype'}; give what a search writes to genotype.json`,
    )
  }
  for (const cell of cellTypes) {
    checkEdges(parsed.data[cell], cell, source, operations)
    checkConcat(parsed.data[`${cell}_concat`], parsed.data[cell].length / 2, `${cell}_concat`, source)
  }
  return parsed.data
}

function refuse(source: string, field: string, what: string): DdsasError {
  return new DdsasError('input', `genotype ${source}: ${field}: ${what.replaceAll('\n', ' ')}`)
}

function checkEdges(
  edges: readonly GenotypeEdge[],
  cell: CellType,
  source: string,
  operations: readonly string[] | 'any',
) {
  if (edges.length === 0 || edges.length % 2 === 1) {
    throw refuse(source, cell, `has ${edges.length} edges; give two for each node`)
  }
  for (const [index, [operation, input]] of edges.entries()) {
    const node = Math.floor(index / 2)
    const field = `${cell}[${index}] (node ${node})`
    if (operations !== 'any' && !operations.includes(operation)) {
      const name = JSON.stringify(operation.slice(0, 60))
      throw refuse(source, field, `unknown operation ${name}; choose one of ${operations.join(', ')}`)
    }
    if (input < 0 || input > node + 1) {
      throw refuse(source, field, `input ${input} does not exist; node ${node} may read 0 to ${node + 1}`)
    }
    if (index % 2 === 1 && edges[index - 1]?.[1] === input) {
      throw refuse(source, field, `reads input ${input} twice; give two different inputs`)
    }
  }
}

function checkConcat(concat: readonly number[], nodes: number, field: string, source: string): void {
  const remedy = `list different nodes from 2 to ${nodes + 1}`
  if (concat.length === 0) throw refuse(source, field, `is empty; ${remedy}`)
  for (const [index, node] of concat.entries()) {
    if (node < 2 || node > nodes + 1)
      throw refuse(source, field, `holds ${node}, which is no node; ${remedy}`)
    if (concat.indexOf(node) < index) throw refuse(source, field, `holds ${node} twice; ${remedy}`)
  }
}

/** The line that PyTorch code of DARTS prints and reads; `parseGenotypeLine` reads it back. */
export function formatGenotype(genotype: Genotype): string {
  parseGenotype(genotype, 'given to formatGenotype', 'any')
  const fields = cellTypes.flatMap((cell) => [
    `${cell}=[${genotype[cell].map(([operation, input]) => `('${operation}', ${input})`).join(', ')}]`,
    `${cell}_concat=[${genotype[`${cell}_concat`].join(', ')}]`,
  ])
  return `Genotype(${fields.join(', ')})`
}

/**
 * Reads `Genotype(normal=[...], ...)` as published in Python code, also `NAME = Genotype(...)`, over several lines,
 * or with `range(2, 6)` for a concatenation.
 * @throws {DdsasError} `input` naming the place in the text, or as `parseGenotype`.
 */
export function parseGenotypeLine(
  text: string,
  source = 'line',
  operations: readonly string[] = dartsGenotypeOperations,
): Genotype {
  checkText(text, 'parseGenotypeLine', 'text')
  const { name, fields } = parsePythonCall(text, (what) => refuse(source, 'Genotype(...)', what))
  if (name !== 'Genotype') throw refuse(source, 'Genotype(...)', `starts with ${name}(; start with Genotype(`)
  return parseGenotype(fields, source, operations)
}

/**
 * Reads a genotype from a file: JSON, or a `Genotype(...)` line.
 * @throws {DdsasError} `input` when it cannot be read or holds no valid genotype.
 */
export function readGenotypeFile(path: string, operations?: readonly string[]): Genotype {
  checkText(path, 'readGenotypeFile', 'path')
  return parseGenotypeText(readGenotypeText(path), path, operations)
}

/** The same of a text; `source` names it in errors. */
export function parseGenotypeText(text: string, source: string, operations?: readonly string[]): Genotype {
  if (!/^\s*[[{"]/.test(text)) return parseGenotypeLine(text, source, operations)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new DdsasError('input', `genotype ${source}: not valid JSON; restore it or name another`, {
      cause: error,
    })
  }
  return parseGenotype(value, source, operations)
}

/** The text of a file that holds an architecture of any space. Throws DdsasError 'input' where it is none. */
export function readGenotypeText(path: string): string {
  try {
    const status = statSync(path)
    if (status.isFile() && status.size <= maxFileBytes) return decodeText(readFileSync(path), path)
  } catch (error) {
    if (error instanceof DdsasError) throw error
    const code = error instanceof Error && 'code' in error ? ` (${error.code})` : ''
    throw new DdsasError('input', `genotype ${path}: cannot be read${code}; name a file`, { cause: error })
  }
  throw new DdsasError('input', `genotype ${path}: not a file of at most 1 MiB; name a file with a genotype`)
}

/** Text in UTF-8, or in UTF-16 where a byte-order mark says so, as shells of Windows write it; the mark is left out. */
function decodeText(bytes: Uint8Array, path: string): string {
  const mark = Buffer.from(bytes.subarray(0, 2)).toString('hex')
  const encoding = { fffe: 'utf-16le', feff: 'utf-16be' }[mark] ?? 'utf-8'
  const remedy = 'name a file with JSON or a Genotype(...) line'
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes)
    if (text.trim() === '') throw new DdsasError('input', `genotype ${path}: the file is empty; ${remedy}`)
    if (!text.includes('\0')) return text
  } catch (error) {
    if (error instanceof DdsasError) throw error
  }
  throw new DdsasError('input', `genotype ${path}: the file is binary, not text; ${remedy}`)
}
