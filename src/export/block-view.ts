/** A block of a program as drawings and texts show it: what it is given, what it makes of that, and which is its output. */
import { DdsasError } from '../errors.ts'
import {
  type Block,
  checkProgram,
  inputsOf,
  isZero,
  type Program,
  type State,
  type StateId,
} from '../nn/index.ts'

/** A way into a state; what is only passed on has no operation. */
export interface ShownWay {
  readonly from: StateId
  readonly operation?: string
}

export interface ShownState {
  readonly id: StateId
  readonly label: string
  readonly kind: State['kind']
  readonly ways: readonly ShownWay[]
}

export interface BlockView {
  readonly block: Block
  /** States outside, or what the block makes of them to begin with. */
  readonly inputs: readonly Pick<ShownState, 'id' | 'label'>[]
  /** All others, in their order; the output is the last one. */
  readonly states: readonly ShownState[]
}

/** The kinds of blocks that a network has, in the order in which they come. */
export function blockKinds(program: Program): string[] {
  checkProgram(program, 'blockKinds')
  return [...new Set(program.blocks.map(({ kind }) => kind))]
}

/**
 * What a kind of block looks like.
 * @throws {DdsasError} `input` for a kind that there is not, or blocks of a supernet.
 */
export function viewBlock(program: Program, kind: string): BlockView {
  const blocks = program.blocks.filter((block) => block.kind === kind)
  if (blocks.length === 0) {
    const kinds = blockKinds(program).join(', ') || 'none at all'
    throw new DdsasError('input', `the network has no blocks of the kind '${kind}': it has ${kinds}`)
  }
  const views = blocks.map((block) => viewOf(program, block))
  // the first block of a network may be given one state twice
  return views.reduce((best, view) => (view.inputs.length > best.inputs.length ? view : best))
}

function viewOf(program: Program, block: Block): BlockView {
  const own = program.states.filter((state) => state.block === block.name)
  const inside = new Set(own.map(({ id }) => id))
  const parts = new Map(own.flatMap((state) => (state.label === '' ? [[state.id, waysInto(state)]] : [])))
  const isInput = (state: State) =>
    state.kind === 'layers' && !inside.has(state.input) && state.id !== block.output && state.label !== ''
  const made = own.filter((state) => !isInput(state) && state.label !== '')
  const outside = [...new Set(own.filter((state) => !isInput(state)).flatMap(inputsOf))].filter(
    (id) => !inside.has(id),
  )
  const inputs = [
    ...outside.map((id, index) => ({ id, label: outside.length === 1 ? 'input' : `input ${index}` })),
    ...own.filter(isInput).map(({ id, label = id }) => ({ id, label })),
  ]
  const states = made.map((state) => ({
    id: state.id,
    label: state.label ?? state.id,
    kind: state.kind,
    ways: waysInto(state).flatMap((way) => throughParts(way, parts)),
  }))
  return { block, inputs, states }
}

/** Ways into a part of a state are ways into that state. */
function throughParts(way: ShownWay, parts: ReadonlyMap<StateId, readonly ShownWay[]>): ShownWay[] {
  const into = parts.get(way.from)
  if (into === undefined) return [way]
  return into
    .flatMap((before) => throughParts(before, parts))
    .map((before) => ({ ...before, ...said(way.operation ?? before.operation) }))
}

function waysInto(state: State): ShownWay[] {
  switch (state.kind) {
    case 'layers': {
      // what a label says of a state is not said of the way into it again
      const { input: from, label, operation } = state
      return [{ from, ...said(label?.startsWith(`${operation} `) ? undefined : operation) }]
    }
    case 'concat':
      return state.inputs.map((from) => ({ from }))
    case 'sum':
      if (state.terms.some(({ choice }) => choice !== undefined))
        throw new DdsasError(
          'input',
          `'${state.id}' belongs to a supernet, which is not shown: show the network of an architecture`,
        )
      return state.terms.flatMap(({ input: from, operation, layers }) =>
        isZero(layers) ? [] : [{ from, ...said(operation) }],
      )
  }
}

function said(operation: string | undefined): Pick<ShownWay, 'operation'> {
  return operation === undefined || operation === '' ? {} : { operation }
}
