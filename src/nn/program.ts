/**
 * A network as a program: states, and for each how it is made. Plain data, built by a space and read by whatever runs, counts,
 * draws or exports networks.
 */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { flatLayers, type NamedLayer, type Sequence, type Shape } from './layer.ts'
import { concatenatedShape, sequenceCost, sequenceShape } from './layer-shape.ts'

/** Names a state. */
export type StateId = string

/** One of the decisions of a search: a candidate (column) of a row in a group. */
export interface Choice {
  readonly group: string
  readonly row: number
  readonly column: number
}

/** A row of decisions of a search. */
export type ChoiceRow = Pick<Choice, 'group' | 'row'>

/** A summand: layers applied to a state. */
export interface Term {
  readonly input: StateId
  /** What PyTorch's names of its weights begin with. */
  readonly name: string
  readonly layers: Sequence
  /** Name of the operation, for drawings and messages. */
  readonly operation: string
  /** In a supernet: it runs where it is sampled, and weighs what the strategy says. */
  readonly choice?: Choice
  /** In a supernet, of a term that is no choice: it passes by the candidates of a row, and weighs what the row as a whole does. */
  readonly beside?: ChoiceRow
}

/** Where a state stands, for readers that show a network part by part. */
interface Placed {
  readonly id: StateId
  /** The block it belongs to. */
  readonly block?: string
  /** What drawings call it; '' where they show it as a part of what reads it. */
  readonly label?: string
}

export type State = Placed &
  (
    | {
        readonly kind: 'layers'
        readonly input: StateId
        readonly name: string
        readonly layers: Sequence
        /** Name of what the layers are together, where they have one: as an operation's. */
        readonly operation?: string
      }
    | { readonly kind: 'sum'; readonly terms: readonly Term[] }
    /** Channels side by side. */
    | { readonly kind: 'concat'; readonly inputs: readonly StateId[] }
  )

/** States that belong together: a cell. */
export interface Block {
  /** Its place in the network and what PyTorch's names of its weights begin with: `cells.3`. */
  readonly name: string
  /** Blocks of one kind share their decisions: `normal`. */
  readonly kind: string
  /** What texts call it, where that is not its kind: `reduction cell`. */
  readonly label?: string
  readonly output: StateId
}

/** The state that every program begins with: normalised images [n, 3, h, w]. */
export const images: StateId = 'images'

export interface Program {
  /** In the order in which they are computed. */
  readonly states: readonly State[]
  readonly outputs: { readonly logits: StateId; readonly auxiliary?: StateId }
  readonly blocks: readonly Block[]
  /** First parts of the weights' names in the order in which weights are drawn and saved: `['stem', 'cells', 'classifier']`. */
  readonly modules: readonly string[]
}

/** The states that a state is made of. */
export function inputsOf(state: State): readonly StateId[] {
  switch (state.kind) {
    case 'layers':
      return [state.input]
    case 'sum':
      return state.terms.map(({ input }) => input)
    case 'concat':
      return state.inputs
  }
}

const layersSchema = z.array(z.object({ name: z.string(), layer: z.object({ type: z.string() }) }))
const termSchema = z.object({ input: z.string(), name: z.string(), layers: layersSchema })
const stateSchema = z.discriminatedUnion('kind', [
  z.object({
    id: z.string(),
    kind: z.literal('layers'),
    input: z.string(),
    name: z.string(),
    layers: layersSchema,
  }),
  z.object({ id: z.string(), kind: z.literal('sum'), terms: z.array(termSchema) }),
  z.object({ id: z.string(), kind: z.literal('concat'), inputs: z.array(z.string()) }),
])
const programSchema = z.object({
  states: z.array(stateSchema),
  blocks: z.array(z.object({ name: z.string(), kind: z.string(), output: z.string() })),
  outputs: z.object({ logits: z.string(), auxiliary: z.string().optional() }),
  modules: z.array(z.string()),
})

/** Throws DdsasError 'input' where what was given to `what` is no program that can run: see `checkStates`. */
export function checkProgram(program: Program, what: string): void {
  checkGiven(programSchema, program, what, 'program')
  checkStates(program)
}

/** Throws DdsasError 'input' naming a state that is read before it is made, that nobody makes, or that is made twice. */
function checkStates({ states, outputs }: Program): void {
  const all = new Set(states.map(({ id }) => id))
  const made = new Set([images])
  for (const state of states) {
    for (const input of inputsOf(state)) {
      if (made.has(input)) continue
      const why = all.has(input)
        ? `is read by '${state.id}' before it is made: states stand in the order in which they are computed, without a cycle`
        : `is read by '${state.id}' and made by nobody: add it to the states`
      throw new DdsasError('input', `program: the state '${input}' ${why}`)
    }
    if (inputsOf(state).length === 0)
      throw new DdsasError('input', `program: the state '${state.id}' is made of nothing: name what it reads`)
    if (made.has(state.id))
      throw new DdsasError(
        'input',
        `program: the state '${state.id}' is made twice: give each an id of its own`,
      )
    made.add(state.id)
  }
  for (const output of Object.values(outputs))
    if (!all.has(output))
      throw new DdsasError(
        'input',
        `program: the output '${output}' is made by nobody: name one of the states`,
      )
}

/** The states that some depend on, in their order. */
export function statesFor({ states }: Program, ids: readonly StateId[]): State[] {
  const needed = new Set(ids)
  return states
    .toReversed()
    .filter((state) => {
      if (!needed.has(state.id)) return false
      for (const input of inputsOf(state)) needed.add(input)
      return true
    })
    .toReversed()
}

/** The same network without what outputs other than `logits` need. */
export function withoutAuxiliary(program: Program): Program {
  return {
    ...program,
    states: statesFor(program, [program.outputs.logits]),
    outputs: { logits: program.outputs.logits },
  }
}

/** The layers of a state with their whole names. */
export function layersOf(state: State): NamedLayer[] {
  switch (state.kind) {
    case 'layers':
      return flatLayers(state.layers, state.name)
    case 'sum':
      return state.terms.flatMap(({ name, layers }) => flatLayers(layers, name))
    case 'concat':
      return []
  }
}

/** All layers with their whole names, in the order in which their weights are drawn and saved. */
export function namedLayers({ states, modules }: Program): NamedLayer[] {
  const all = states.flatMap(layersOf)
  const rank = ({ name }: NamedLayer) => {
    const found = modules.findIndex((module) => name === module || name.startsWith(`${module}.`))
    return found < 0 ? modules.length : found
  }
  return all
    .map((layer, index) => ({ layer, index, rank: rank(layer) }))
    .sort((a, b) => a.rank - b.rank || a.index - b.index)
    .map(({ layer }) => layer)
}

/** Shape of every state for images of a size. Throws DdsasError 'input' naming a state that cannot be made. */
export function programShapes({ states }: Program, input: Shape): Map<StateId, Shape> {
  const shapes = new Map([[images, input]])
  for (const state of states)
    shapes.set(
      state.id,
      named(state.id, () => stateShape(state, shapes)),
    )
  return shapes
}

/** Names the state in an error about it. */
function named<Result>(id: StateId, body: () => Result): Result {
  try {
    return body()
  } catch (error) {
    if (error instanceof DdsasError) throw new DdsasError(error.kind, `${id}: ${error.message}`)
    throw error
  }
}

/** Of what is known already. */
export function lookUp<Value>(values: ReadonlyMap<StateId, Value>, id: StateId): Value {
  const found = values.get(id)
  if (found !== undefined) return found
  throw new DdsasError('input', `program: the state '${id}' is made by nobody`)
}

function stateShape(state: State, shapes: ReadonlyMap<StateId, Shape>): Shape {
  switch (state.kind) {
    case 'layers':
      return sequenceShape(state.layers, lookUp(shapes, state.input))
    case 'sum': {
      const terms = state.terms.map(({ input, layers }) => sequenceShape(layers, lookUp(shapes, input)))
      const other = terms.findIndex((shape) => shape.join() !== terms[0].join())
      if (other < 0) return terms[0]
      const describe = (index: number) => `${state.terms[index].operation} makes ${terms[index].join(' x ')}`
      throw new DdsasError('input', `the terms of a sum differ in shape: ${describe(0)}, ${describe(other)}`)
    }
    case 'concat': {
      return concatenatedShape(state.inputs.map((id) => lookUp(shapes, id)))
    }
  }
}

/** What a state costs: multiply-adds of its own, and the longest way of layers with weights from the images to it. */
export interface StateCost {
  readonly multiplyAdds: number
  readonly depth: number
}

/** Cost of every state for an image of a size; all terms of a supernet count. */
export function programCosts(program: Program, input: Shape): Map<StateId, StateCost> {
  const shapes = programShapes(program, input)
  const costs = new Map<StateId, StateCost>([[images, { multiplyAdds: 0, depth: 0 }]])
  for (const state of program.states) {
    const ways = waysInto(state).map(({ from, layers }) => {
      const own = sequenceCost(layers, lookUp(shapes, from))
      return { multiplyAdds: own.multiplyAdds, depth: lookUp(costs, from).depth + own.depth }
    })
    costs.set(state.id, {
      multiplyAdds: ways.reduce((sum, way) => sum + way.multiplyAdds, 0),
      depth: Math.max(...ways.map(({ depth }) => depth)),
    })
  }
  return costs
}

function waysInto(state: State): readonly { readonly from: StateId; readonly layers: Sequence }[] {
  switch (state.kind) {
    case 'layers':
      return [{ from: state.input, layers: state.layers }]
    case 'sum':
      return state.terms.map(({ input, layers }) => ({ from: input, layers }))
    case 'concat':
      return state.inputs.map((from) => ({ from, layers: [] }))
  }
}
