/** Blocks of a program as modules: those of a kind that are wired alike become instances of one class. */
import { type Block, inputsOf, type Program, type State, type StateId, statesFor } from '../nn/index.ts'
import { variableName } from './python-text.ts'
import { type Forward, ForwardWriter } from './pytorch-forward.ts'
import { type Children, type Module, ownBlock } from './pytorch-modules.ts'
import { Scope } from './pytorch-scope.ts'
import { namesIn, type PlannedState, planStates, stateCode } from './pytorch-states.ts'

/** A block that is called as a whole. */
export interface BlockCall {
  readonly block: Block
  readonly module: Module
  /** The states it is given. */
  readonly inputs: readonly StateId[]
}

/** A block on its way to a class. */
interface Draft {
  readonly block: Block
  readonly planned: readonly PlannedState[]
  readonly scope: Scope
  readonly children: Children
  /** What is read from outside, a state for each reading. */
  readonly readings: readonly StateId[]
}

/** The blocks that can be modules, in the order in which they are computed. */
export function blockCalls(program: Program): BlockCall[] {
  const drafts = program.blocks
    .filter((block) => isClosed(program, block))
    .map((block) => drafted(program, block))
  const wirings = new Map<string, Draft[]>()
  for (const draft of drafts) {
    const apart = draft.readings.map((_, reading) => `s${reading}`)
    const { key } = ownBlock(draft.block.kind, draft.children, forwardOf(draft, apart))
    wirings.set(key, [...(wirings.get(key) ?? []), draft])
  }
  const calls = [...wirings.values()].flatMap(callsOf)
  return program.states.flatMap(({ id }) => calls.filter(({ block }) => block.output === id))
}

function statesOf({ states }: Program, { name }: Block): readonly State[] {
  return states.filter((state) => state.block === name)
}

/** Whether nothing of a block but its output is seen outside, and it alone has modules below its name. */
function isClosed(program: Program, block: Block): boolean {
  const own = statesOf(program, block)
  const others = program.states.filter((state) => !own.includes(state))
  const hidden = own.map(({ id }) => id).filter((id) => id !== block.output)
  const isBelow = (name: string) => `${name}.`.startsWith(`${block.name}.`)
  return (
    own.some(({ id }) => id === block.output) &&
    others.every((state) => !inputsOf(state).some((id) => hidden.includes(id))) &&
    !hidden.includes(program.outputs.logits) &&
    namesIn(own).every(isBelow) &&
    !namesIn(others).some(isBelow)
  )
}

function drafted(program: Program, block: Block): Draft {
  const states = statesOf(program, block)
  const names = namesIn(states).map((name) => name.slice(block.name.length + 1))
  const scope = new Scope(names, block.name)
  const needed = statesFor({ ...program, states }, [block.output])
  // what nothing reads has modules too: its weights are loaded, and left alone
  const planned = planStates(scope, states, block.name).filter(({ state }) => needed.includes(state))
  const inside = new Set(states.map(({ id }) => id))
  const readings = needed.flatMap(inputsOf).filter((id) => !inside.has(id))
  return { block, planned, scope, children: scope.children(), readings }
}

/** Blocks that are wired alike; what all of them read as one state is one parameter. */
function callsOf(drafts: readonly Draft[]): BlockCall[] {
  const columns = drafts[0].readings.map((_, reading) =>
    drafts.map((draft) => draft.readings[reading]).join('\n'),
  )
  const distinct = [...new Set(columns)]
  const parameters = distinct.map((_, index) => (distinct.length === 1 ? 'x' : `s${index}`))
  const names = columns.map((column) => parameters[distinct.indexOf(column)])
  return drafts.map((draft) => ({
    block: draft.block,
    module: {
      ...ownBlock(draft.block.kind, draft.children, forwardOf(draft, names)),
      wanted: [{ text: draft.block.kind, rank: -1 }],
    },
    inputs: distinct.map((column) => draft.readings[columns.indexOf(column)]),
  }))
}

/** The block's lines; `names`: the parameter of each reading from outside. */
function forwardOf({ block, planned, scope }: Draft, names: readonly string[]): Forward {
  const parameters = [...new Set(names)]
  const writer = new ForwardWriter((path) => scope.access(path), parameters)
  const variables = new Map<StateId, string>()
  let reading = 0
  for (const { state, ways } of planned) {
    const inputs = ways.map(({ input }) => variables.get(input) ?? names[reading++])
    const [first] = inputs
    const isOnly = state.kind === 'layers' && names.filter((name) => name === first).length === 1
    const target = isOnly ? () => first : writer.temporary(nameOf(state))
    const code = stateCode(writer, { state, ways }, (way) => inputs[way], target)
    if (state.id === block.output) writer.return(code)
    else if (code === first) variables.set(state.id, first)
    else {
      writer.assign(target(), code)
      variables.set(state.id, target())
    }
  }
  return { parameters, statements: writer.statements }
}

/** What a state is called in its block: a node by the number that drawings show. */
function nameOf(state: State): string {
  switch (state.kind) {
    case 'layers':
      return variableName(state.name.split('.').at(-1) ?? '', 'x')
    case 'sum':
      return /^\d+$/.test(state.label ?? '') ? `n${state.label}` : 'n'
    case 'concat':
      return 'together'
  }
}
