/**
 * Architectures of NAS-Bench-201 as text, `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|…|`: for each node its operations with the
 * node each reads; and which of them compute the same.
 */
import { DdsasError } from '../../errors.ts'
import { type OperationName, operations } from './operations.ts'

/** Nodes of a cell, the input among them; each reads all before it. */
export const nodes = 4

/** For each edge the node it comes from and the one it goes into, in the order of the rows. */
export const edges: readonly { readonly from: number; readonly to: number }[] = Array.from(
  { length: nodes },
  (_, to) => Array.from({ length: to }, (_, from) => ({ from, to })),
).flat()

export const operationNames = Object.keys(operations) as readonly OperationName[]

function refuse(text: string, source: string, what: string): DdsasError {
  const shown = JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
  return new DdsasError(
    'input',
    `architecture ${source}: ${shown}: ${what}; write it as |op~0|+|op~0|op~1|+|op~0|op~1|op~2|`,
  )
}

/** The operation of each edge. Throws DdsasError 'input' saying what is wrong with the text. */
export function parseArchitecture(text: string, source: string): OperationName[] {
  const parts = text.trim().split('+')
  if (parts.length !== nodes - 1) throw refuse(text, source, `${parts.length} of ${nodes - 1} nodes`)
  return parts.flatMap((part, index) => {
    const inner = /^\|(.*)\|$/.exec(part)?.[1]
    if (inner === undefined) throw refuse(text, source, `node ${index + 1} does not stand between bars`)
    const terms = inner.split('|')
    if (terms.length !== index + 1)
      throw refuse(text, source, `node ${index + 1} has ${terms.length} operations, not ${index + 1}`)
    return terms.map((term, from) => {
      const [name, input, ...rest] = term.split('~')
      if (input !== String(from) || rest.length > 0)
        throw refuse(text, source, `'${term}' stands where node ${from} is read`)
      const known = operationNames.find((operation) => operation === name)
      if (known === undefined)
        throw refuse(text, source, `there is no operation '${name}' (known are ${operationNames.join(', ')})`)
      return known
    })
  })
}

/** The text of the operations of all edges. */
export function formatArchitecture(cell: readonly string[]): string {
  return Array.from({ length: nodes - 1 }, (_, index) => {
    const terms = edges.flatMap(({ from, to }, row) => (to === index + 1 ? [`${cell[row]}~${from}`] : []))
    return `|${terms.join('|')}|`
  }).join('+')
}

/**
 * The same text for cells that compute the same, after AutoDL-Projects' to_unique_str: what a node adds up is sorted, skip
 * connections are seen through, and what brings nothing is `#`.
 */
export function canonicalForm(cell: readonly string[]): string {
  const forms = ['0']
  for (let node = 1; node < nodes; node++) {
    const terms = edges.flatMap(({ from, to }, row) => {
      if (to !== node) return []
      if (cell[row] === 'none' || forms[from] === '#') return ['#']
      return [cell[row] === 'skip_connect' ? forms[from] : `(${forms[from]})@${cell[row]}`]
    })
    forms.push(terms.sort().join('+'))
  }
  return forms[nodes - 1]
}

/** Whether the cell's input reaches its output. */
export function isConnected(cell: readonly string[]): boolean {
  const reached = [true]
  for (let node = 1; node < nodes; node++)
    reached.push(edges.some(({ from, to }, row) => to === node && reached[from] && cell[row] !== 'none'))
  return reached[nodes - 1]
}
