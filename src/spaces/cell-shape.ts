/**
 * What a network's searched blocks look like, read from its program whatever the space: how many operations are skip connections,
 * and how deep and wide convolutions stand in them. A search that collapses shows here first.
 */
import {
  type Block,
  flatLayers,
  inputsOf,
  isZero,
  type Program,
  type State,
  type StateId,
  type Term,
} from '../nn/index.ts'
import { shownNetwork } from './network-shape.ts'
import type { SearchSpace } from './space.ts'

export interface CellShape {
  /** On its edges, those that are nothing left out. */
  readonly operations: number
  readonly skips: number
  /** Most operations with weights, one after the other on a way through the block; what prepares its inputs is none. */
  readonly depth: number
  /** Most operations with weights that have as many of them before them: that stand side by side. */
  readonly width: number
}

/** The blocks of an architecture that its space searches, by their kind: `normal`. */
export function cellShapes<Architecture>(
  space: SearchSpace<Architecture>,
  architecture: unknown,
): Readonly<Record<string, CellShape>> {
  const { kinds, skips } = searchedParts(space.supernet({ ...space.defaults, classes: 10 }))
  const network = shownNetwork(space, architecture)
  const blocks = [...kinds].flatMap((kind) => network.blocks.find((block) => block.kind === kind) ?? [])
  return Object.fromEntries(blocks.map((block) => [block.kind, shapeOf(network, block, skips)]))
}

/** Kinds of blocks in which something is chosen, and the operations that hand on what they are given, at least at stride 1. */
function searchedParts({ states, blocks }: Program) {
  const kindOf = new Map(blocks.map(({ name, kind }) => [name, kind]))
  const kinds = new Set<string>()
  const skips = new Set<string>()
  for (const state of states)
    for (const { choice, layers, operation } of termsOf(state)) {
      if (choice === undefined) continue
      const kind = state.block === undefined ? undefined : kindOf.get(state.block)
      if (kind !== undefined) kinds.add(kind)
      if (layers.length === 0) skips.add(operation)
    }
  return { kinds, skips }
}

function termsOf(state: State): readonly Term[] {
  return state.kind === 'sum' ? state.terms : []
}

function shapeOf({ states }: Program, { name, output }: Block, skips: ReadonlySet<string>): CellShape {
  const own = states.filter(({ block }) => block === name)
  const all = own.flatMap(termsOf).filter(({ layers }) => !isZero(layers))
  const weighs = ({ operation, layers }: Term) =>
    !skips.has(operation) &&
    flatLayers(layers, '').some(({ layer: { type } }) => ['conv2d', 'linear', 'opaque'].includes(type))
  /** Operations with weights before a state, on the longest way to it. */
  const before = new Map<StateId, number>()
  const levels = new Map<number, number>()
  for (const { state, ways } of throughStates(own, output)) {
    const depths = ways.map((way) => {
      const heavy = 'layers' in way && weighs(way)
      const depth = (before.get(way.input) ?? 0) + Number(heavy)
      if (heavy) levels.set(depth, (levels.get(depth) ?? 0) + 1)
      return depth
    })
    before.set(state.id, Math.max(0, ...depths))
  }
  return {
    operations: all.length,
    skips: all.filter(({ operation }) => skips.has(operation)).length,
    depth: Math.max(0, ...levels.keys()),
    width: Math.max(0, ...levels.values()),
  }
}

type Way = Term | { readonly input: StateId }

/** The states that lie on a way from outside to the output, each with those ways into it that begin outside: zeros lead nowhere. */
function throughStates(own: readonly State[], output: StateId) {
  const inside = new Set(own.map(({ id }) => id))
  const reached = new Set<StateId>()
  const found: { readonly state: State; readonly ways: readonly Way[] }[] = []
  for (const state of own) {
    const all: readonly Way[] =
      state.kind === 'sum'
        ? state.terms.filter(({ layers }) => !isZero(layers))
        : inputsOf(state).map((input) => ({ input }))
    const ways = all.filter(({ input }) => !inside.has(input) || reached.has(input))
    if (ways.length === 0) continue
    reached.add(state.id)
    found.push({ state, ways })
  }
  const used = new Set([output])
  for (const { state, ways } of found.toReversed())
    if (used.has(state.id)) for (const { input } of ways) used.add(input)
  return found.filter(({ state }) => used.has(state.id))
}
