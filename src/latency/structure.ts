/** Which candidates of a space are the same work: the same layers on images of the same sizes, everywhere in the network. */
import {
  type Choice,
  isZero,
  lookUp,
  type Program,
  programShapes,
  type Sequence,
  type Shape,
  type State,
  type Term,
} from '../nn/index.ts'
import type { NetworkSize, SearchSpace } from '../spaces/space.ts'

/** An operation as it stands somewhere in a network. */
export interface PlacedOperation {
  readonly name: string
  readonly layers: Sequence
  readonly input: Shape
}

export interface Structure {
  /** The class of each candidate, by group [rows, candidates]: candidates of one class are the same work. */
  readonly classes: ReadonlyMap<string, readonly (readonly number[])[]>
  /** For each class the operations that it brings into a network, as indices, one for each place. */
  readonly parts: readonly (readonly number[])[]
  /** All different operations that take time. */
  readonly operations: readonly PlacedOperation[]
}

const keyOf = ({ group, row, column }: Choice) => `${group} ${row} ${column}`
const placeOf = (state: State, { input, operation }: Term) => `${state.id} ${input} ${operation}`
const textOf = (layers: Sequence, input: Shape) => `${JSON.stringify(layers)} ${input}`

function* termsOf(program: Program): Generator<readonly [State, Term]> {
  for (const state of program.states)
    if (state.kind === 'sum') for (const term of state.terms) yield [state, term]
}

/**
 * The structure of a space at a size. The supernet says where a candidate stands; its layers there are read from `networks`,
 * which may begin another way and normalise otherwise.
 */
export function structureOf(
  space: SearchSpace,
  size: NetworkSize & { readonly imageSide: number },
  networks: readonly Program[],
): Structure {
  const image: Shape = [3, size.imageSide, size.imageSide]
  const { works, places } = standsIn(space.supernet(size), image)
  const found = operationsAt(networks, image)
  const classOf = new Map<string, number>()
  const parts: (readonly number[])[] = []
  const operations = new Map<string, PlacedOperation & { readonly index: number }>()
  const partsAt = (place: string): number[] => {
    const operation = found.get(place)
    if (operation === undefined || operation.layers.length === 0 || isZero(operation.layers)) return []
    const text = textOf(operation.layers, operation.input)
    const known = operations.get(text) ?? { ...operation, index: operations.size }
    operations.set(text, known)
    return [known.index]
  }
  const classes = space.choices.map(({ name, rows, candidates }) => {
    const columns = (row: number) =>
      candidates.map((_, column) => {
        const key = keyOf({ group: name, row, column })
        const work = works.get(key) ?? key
        const index = classOf.get(work) ?? classOf.size
        classOf.set(work, index)
        const own = (places.get(key) ?? []).flatMap(partsAt)
        // networks may not have had this candidate, but another of its class
        if (own.length > (parts[index]?.length ?? -1)) parts[index] = own
        return index
      })
    return [name, Array.from({ length: rows }, (_, row) => columns(row))] as const
  })
  return { classes: new Map(classes), parts, operations: [...operations.values()] }
}

/** For each choice what it is, as a text that says layers and sizes at all its places, and the places. */
function standsIn(supernet: Program, image: Shape) {
  const shapes = programShapes(supernet, image)
  const works = new Map<string, string>()
  const places = new Map<string, string[]>()
  for (const [state, term] of termsOf(supernet)) {
    if (term.choice === undefined) continue
    const key = keyOf(term.choice)
    const work = textOf(term.layers, lookUp(shapes, term.input))
    works.set(key, `${works.get(key) ?? `${term.choice.group}:`} ${work}`)
    places.set(key, [...(places.get(key) ?? []), placeOf(state, term)])
  }
  return { works, places }
}

/** What stands at each place of some networks. */
function operationsAt(networks: readonly Program[], image: Shape): Map<string, PlacedOperation> {
  const found = new Map<string, PlacedOperation>()
  for (const program of networks) {
    const shapes = programShapes(program, image)
    for (const [state, term] of termsOf(program))
      found.set(placeOf(state, term), {
        name: term.operation,
        layers: term.layers,
        input: lookUp(shapes, term.input),
      })
  }
  return found
}
