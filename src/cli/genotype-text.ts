/** The blocks of a network in words: what each node of its cells adds up. */
import { blockKinds, type ShownState, viewBlock } from '../export/block-view.ts'
import { lookUp, type Program, type StateId } from '../nn/index.ts'

/** A paragraph for each kind of block. */
export function blocksInWords(program: Program): string {
  return blockKinds(program)
    .map((kind) => `${blockLines(program, kind).join('\n')}\n`)
    .join('\n')
}

function blockLines(program: Program, kind: string): string[] {
  const { block, inputs, states } = viewBlock(program, kind)
  const names = new Map([...inputs, ...states].map(({ id, label }) => [id, nameOf(label)]))
  const width = Math.max(...states.map(({ label }) => nameOf(label).length))
  const lines = states.map((state) => `  ${nameOf(state.label).padEnd(width)} = ${sumOf(state, names)}`)
  return [block.label ?? kind, ...lines]
}

/** Numbers are those of nodes. */
function nameOf(label: string): string {
  return /^\d+$/.test(label) ? `node ${label}` : label
}

function sumOf({ kind, ways }: ShownState, names: ReadonlyMap<StateId, string>): string {
  const terms = ways.map(({ from, operation }) =>
    operation === undefined ? lookUp(names, from) : `${operation}(${lookUp(names, from)})`,
  )
  if (kind === 'concat') return `concat(${terms.join(', ')})`
  return terms.join(' + ') || '0'
}
