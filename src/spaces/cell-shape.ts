/**
 * What a network's searched blocks look like, read from its program whatever the space: how many operations are skip connections,
 * and how deep and wide convolutions stand in them. A search that collapses shows here first.
 */
import {
  type Block,
  flatLayers,
  isZero,
  type Program,
  type Sequence,
  type State,
  type StateId,
} from '../nn/index.ts'
import { shownNetwork } from './network-shape.ts'
import type { SearchSpace } from './space.ts'

export interface CellShape {
  /** Those that are nothing left out. */
  readonly operations: number
  readonly skips: number
  /** Most operations with weights, one after the other on a way through the block; what prepares its inputs is none. */
  readonly depth: number
  /** Most operations with weights that have as many of them before them: that stand side by side. */
  readonly width: number
}

/**
 * The blocks of an architecture that its space searches, by their kind: `normal`. Operations are told by the names that the supernet's
 * candidates have; a block that names none of them is left out.
 */
export function cellShapes<Architecture>(
  space: SearchSpace<Architecture>,
  architecture: unknown,
): Readonly<Record<string, CellShape>> {
  const searched = searchedParts(space.supernet({ ...space.defaults, classes: 10 }))
  const network = shownNetwork(space, architecture)
  const shapes = [...searched.kinds].flatMap((kind) => {
    const block = network.blocks.find((one) => one.kind === kind)
    const shape = block && shapeOf(network, block, searched)
    return shape ? [[kind, shape] as const] : []
  })
  return Object.fromEntries(shapes)
}

/** A way into a state. */
interface Way {
  readonly input: StateId
  readonly layers: Sequence
  readonly operation?: string | undefined
}

function waysInto(state: State): readonly Way[] {
  switch (state.kind) {
    case 'sum':
      return state.terms
    case 'layers':
      return [state]
    case 'concat':
      return state.inputs.map((input) => ({ input, layers: [] }))
  }
}

interface Searched {
  /** Of blocks in which something is chosen. */
  readonly kinds: ReadonlySet<string>
  /** Names of the candidates, and of those that hand on what they are given, at least at stride 1. */
  readonly operations: ReadonlySet<string>
  readonly skips: ReadonlySet<string>
}

function searchedParts({ states, blocks }: Program): Searched {
  const kindOf = new Map(blocks.map(({ name, kind }) => [name, kind]))
  const terms = states.flatMap((state) =>
    state.kind === 'sum' ? state.terms.map((term) => ({ term, block: state.block })) : [],
  )
  const chosen = terms.filter(({ term: { choice, operation } }) => choice !== undefined && operation !== '')
  return {
    kinds: new Set(chosen.flatMap(({ block = '' }) => kindOf.get(block) ?? [])),
    operations: new Set(chosen.map(({ term }) => term.operation)),
    skips: new Set(
      chosen.flatMap(({ term: { layers, operation } }) => (layers.length === 0 ? [operation] : [])),
    ),
  }
}

function shapeOf(
  { states }: Program,
  { name, output }: Block,
  { operations, skips }: Searched,
): CellShape | undefined {
  const own = states.filter(({ block }) => block === name)
  const named = own.flatMap(waysInto).filter(({ operation = '' }) => operations.has(operation))
  if (named.length === 0) return undefined
  const all = named.filter(({ layers }) => !isZero(layers))
  const weighs = ({ operation = '', layers }: Way) =>
    operations.has(operation) &&
    !skips.has(operation) &&
    flatLayers(layers, '').some(({ layer: { type } }) => ['conv2d', 'linear', 'opaque'].includes(type))
  /** Operations with weights before a state, on the longest way to it. */
  const before = new Map<StateId, number>()
  const levels = new Map<number, number>()
  for (const { state, ways } of throughStates(own, output)) {
    const depths = ways.map((way) => {
      const depth = (before.get(way.input) ?? 0) + Number(weighs(way))
      if (weighs(way)) levels.set(depth, (levels.get(depth) ?? 0) + 1)
      return depth
    })
    before.set(state.id, Math.max(0, ...depths))
  }
  return {
    operations: all.length,
    skips: all.filter(({ operation = '' }) => skips.has(operation)).length,
    depth: Math.max(0, ...levels.keys()),
    width: Math.max(0, ...levels.values()),
  }
}

/** The states that lie on a way from outside to the output, each with those ways into it that begin outside: zeros lead nowhere. */
function throughStates(own: readonly State[], output: StateId) {
  const inside = new Set(own.map(({ id }) => id))
  const reached = new Set<StateId>()
  const found: { readonly state: State; readonly ways: readonly Way[] }[] = []
  for (const state of own) {
    const ways = waysInto(state).filter(
      ({ input, layers }) => !isZero(layers) && (!inside.has(input) || reached.has(input)),
    )
    if (ways.length === 0) continue
    reached.add(state.id)
    found.push({ state, ways })
  }
  const used = new Set([output])
  for (const { state, ways } of found.toReversed())
    if (used.has(state.id)) for (const { input } of ways) used.add(input)
  return found.filter(({ state }) => used.has(state.id))
}
