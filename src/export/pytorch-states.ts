/** States of a program as expressions of Python: the modules they need, and how they follow from other states. */
import type { State, StateId } from '../nn/index.ts'
import type { Code } from './python-text.ts'
import { roleRank } from './pytorch-classes.ts'
import { concatenation, type ForwardWriter, type Step } from './pytorch-forward.ts'
import type { Wanted } from './pytorch-modules.ts'
import { modulesIn, type Scope } from './pytorch-scope.ts'

/** A state that is read, and the steps from there. */
export interface Way {
  readonly input: StateId
  readonly steps: readonly Step[]
}

export interface PlannedState {
  readonly state: State
  readonly ways: readonly Way[]
}

/** A part of a state that has layers, with what their modules may be called after. */
interface Part {
  readonly input: StateId
  readonly name: string
  readonly layers: Parameters<Scope['whole']>[0]
  readonly wanted: readonly Wanted[]
}

export function partsOf(state: State): readonly Part[] {
  switch (state.kind) {
    case 'layers': {
      const { input, name, layers, operation } = state
      const role = name.match(/[A-Za-z_]*[A-Za-z](?=[^A-Za-z]*$)/)?.[0] ?? ''
      const said = operation === undefined ? [] : [{ text: operation, rank: 0 }]
      return [{ input, name, layers, wanted: [...said, { text: role, rank: roleRank }] }]
    }
    case 'sum':
      return state.terms.map(({ input, name, layers, operation }) => ({
        input,
        name,
        layers,
        wanted: [{ text: operation, rank: 1 }],
      }))
    case 'concat':
      return state.inputs.map((input) => ({ input, name: '', layers: [], wanted: [] }))
  }
}

/** Whole names of all modules of states, and of what they belong to. */
export function namesIn(states: readonly State[]): string[] {
  return states
    .flatMap(partsOf)
    .flatMap(({ name, layers }) => [...(name === '' ? [] : [name]), ...modulesIn(layers, name)])
}

/** The states as they are computed by modules of a scope, whose names begin with `prefix`. */
export function planStates(scope: Scope, states: readonly State[], prefix = ''): PlannedState[] {
  return states.map((state) => ({
    state,
    ways: partsOf(state).map(({ input, name, layers, wanted }) => ({
      input,
      steps: scope.whole(layers, relativeName(name, prefix), wanted),
    })),
  }))
}

/** A name without the part that all of a scope share. */
export function relativeName(name: string, prefix: string): string {
  return prefix === '' ? name : name.slice(prefix.length + 1)
}

/** What a state is; lines before it, where it needs some, use `target`. `read`: the variable of each of its inputs. */
export function stateCode(
  writer: ForwardWriter,
  { state, ways }: PlannedState,
  read: (way: number) => string,
  target: () => string,
): Code {
  const parts = ways.map(({ steps }, way) =>
    writer.through(steps, read(way), state.kind === 'layers' ? target : writer.temporary('y')),
  )
  if (parts.length === 1) return parts[0]
  return state.kind === 'concat'
    ? concatenation(parts)
    : { open: '(', items: parts, close: ')', operator: '+' }
}
