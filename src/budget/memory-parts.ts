/** What takes memory in a subspace of a supernet, counted by kind: candidates, and what those that read one state share. */
import { type EntryKernel, fuse } from '../nn/fuse.ts'
import { type Choice, isZero, lookUp, programShapes, type Shape, type Term } from '../nn/index.ts'
import type { Picks, SearchSpace, SupernetOptions } from '../spaces/space.ts'

/** Two subspaces with the same counts take the same memory, as far as that is a sum. */
export interface MemoryParts {
  /** How many kinds there are; the first is what every subspace has once. */
  readonly kinds: number
  /** Of each kind how many there are where these candidates run. */
  count(runs: Picks): number[]
}

/** What a candidate brings: something of its own, and something that others may bring as well. */
interface Candidate {
  readonly kind: number
  readonly shared: { readonly kind: number; readonly place: string } | undefined
}

/** A candidate in all blocks that it runs in, as text: `own` and `shared` say what it is, `place` says of which states. */
interface Described {
  readonly own: string[]
  readonly shared: string[]
  readonly place: string[]
}

/** The parts of a supernet on images of a shape. Rows whose candidates are the same layers on the same shapes are of a kind. */
export function memoryParts(space: SearchSpace, options: SupernetOptions, image: Shape): MemoryParts {
  const kinds = new Map<string, number>([['all', 0]])
  const kindOf = (text: string) => {
    const known = kinds.get(text) ?? kinds.size
    kinds.set(text, known)
    return known
  }
  const candidates = new Map<string, Candidate>()
  for (const [key, { own, shared, place }] of describe(space, options, image))
    candidates.set(key, {
      kind: kindOf(`own ${own.join()}`),
      shared:
        shared.length === 0 ? undefined : { kind: kindOf(`shared ${shared.join()}`), place: place.join() },
    })
  return { kinds: kinds.size, count: (runs) => countParts(runs, candidates, kinds.size) }
}

const keyOf = ({ group, row, column }: Choice) => `${group} ${row} ${column}`

/** Every candidate that is something. */
function describe(space: SearchSpace, options: SupernetOptions, image: Shape): Map<string, Described> {
  const program = space.supernet(options)
  const shapes = programShapes(program, image)
  const fused = fuse(program)
  const found = new Map<string, Described>()
  const add = (term: Term, choice: Choice) => {
    const key = keyOf(choice)
    const described = found.get(key) ?? { own: [], shared: [], place: [] }
    const shape = lookUp(shapes, term.input).join()
    described.own.push(`${choice.group} ${term.operation} ${shape} ${JSON.stringify(term.layers)}`)
    const entry = sharedEntry(fused.get(term)?.entry)
    if (entry !== undefined) {
      described.shared.push(`${choice.group} ${shape} ${entry}`)
      described.place.push(`${term.input} ${entry}`)
    }
    found.set(key, described)
  }
  for (const state of program.states)
    if (state.kind === 'sum')
      for (const term of state.terms) if (term.choice && !isZero(term.layers)) add(term, term.choice)
  return found
}

/** What is computed once for all that begin with it at one state. */
function sharedEntry(entry: EntryKernel | undefined): string | undefined {
  if (entry?.kernel === 'relu') return 'relu'
  return entry?.kernel === 'pool' ? JSON.stringify(entry.pool.layer) : undefined
}

function countParts(runs: Picks, candidates: ReadonlyMap<string, Candidate>, kinds: number): number[] {
  const counts = Array.from({ length: kinds }, (_, kind) => Number(kind === 0))
  const places = new Set<string>()
  for (const [group, rows] of runs)
    for (const [row, columns] of rows.entries())
      for (const column of columns) {
        const candidate = candidates.get(keyOf({ group, row, column }))
        if (candidate === undefined) continue
        const { kind, shared } = candidate
        counts[kind] += 1
        if (shared === undefined || places.has(shared.place)) continue
        places.add(shared.place)
        counts[shared.kind] += 1
      }
  return counts
}
