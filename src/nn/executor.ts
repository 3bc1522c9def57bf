/** One forward pass through the states of a program. What a state hands out is freed as soon as its last reader took it. */
import { DdsasError } from '../errors.ts'
import {
  add,
  type Entry,
  fanOut,
  type Images,
  mix,
  mul,
  relu,
  reshape,
  slice,
  type Tensor,
  tidy,
  typeAs,
} from '../torch/index.ts'
import { type ArchWeightsOf, TermWeights } from './arch-weights.ts'
import type { Beginning, Compiled } from './compile.ts'
import { type Drop, type DropPath, drawDrops } from './drop-path.ts'
import type { Dropout } from './dropout.ts'
import { isZero } from './layer.ts'
import { joined, type Parts } from './layer-forward.ts'
import { images as imagesId, lookUp, type State, type StateId, type Term } from './program.ts'
import type { BatchPart } from './step.ts'

/** How a forward pass runs. */
export interface Pass {
  /** Normalise by the batch and update running statistics. */
  readonly training: boolean
  /** Of a supernet: which terms run, and how much each weighs. */
  readonly archWeights?: ArchWeightsOf
  /** In training mode: leaves out terms of unweighted sums at random. */
  readonly dropPath?: DropPath | undefined
  /** In training mode: what layers `dropout` leave out. */
  readonly dropout?: Dropout | undefined
  /** What these images are of a batch that several processes share: synchronised batch norms go by all of it. */
  readonly part?: BatchPart | undefined
  /** Whether the auxiliary head runs too, where there is one. */
  readonly auxiliary?: boolean
}

/** The states that a pass computes, as they run. */
export interface Prepared {
  readonly states: readonly State[]
  /** Those whose values are wanted. */
  readonly outputs: readonly StateId[]
  /** `concatenationsApart` of them. */
  readonly apart: ReadonlyMap<StateId, readonly StateId[]>
  readonly compiled: ReadonlyMap<State | Term, Compiled>
  /** Every layer by itself: no state is handed out by a kernel, no sum is one. */
  readonly plain: boolean
}

/** One that reads a state, by a name of its own, and what it begins with. */
interface Reader {
  readonly key: string
  readonly entry: Beginning
}

/** Readers that are handed the same. */
interface Handing {
  readonly keys: string[]
  readonly entry: Beginning
}

/** All that begin with ReLU are handed one, where the first of them stands; every other reader something of its own. */
function handings(readers: readonly Reader[]): Handing[] {
  const found: Handing[] = []
  for (const { key, entry } of readers) {
    const shared = entry === 'relu' ? found.find((handing) => handing.entry === 'relu') : undefined
    if (shared) shared.keys.push(key)
    else found.push({ keys: [key], entry })
  }
  return found
}

const empty: Compiled = { entry: undefined, steps: [] }

/** Concatenations that nobody needs in one piece, with the states they consist of: whose readers can read parts. */
export function concatenationsApart(
  states: readonly State[],
  outputs: readonly StateId[],
): Map<StateId, readonly StateId[]> {
  const whole = new Set(outputs)
  for (const state of states) {
    if (state.kind === 'sum') for (const { input } of state.terms) whole.add(input)
    if (state.kind === 'concat') for (const input of state.inputs) whole.add(input)
  }
  return new Map(
    states.flatMap((state) =>
      state.kind === 'concat' && !whole.has(state.id) ? [[state.id, state.inputs]] : [],
    ),
  )
}

/** The terms of a sum that run; where there is none, the first one's zeros. */
export function runningTerms(
  terms: readonly Term[],
  weights: Pick<TermWeights, 'runs'> | undefined,
): readonly Term[] {
  const some = terms.filter(
    ({ choice, layers }) => !isZero(layers) && (choice === undefined || weights?.runs(choice)),
  )
  return some.length > 0 ? some : terms.filter(({ layers }) => isZero(layers)).slice(0, 1)
}

/** Those of a pass. Throws DdsasError 'input' naming a sum of which nothing runs. */
function checkedTerms(
  id: StateId,
  terms: readonly Term[],
  weights: TermWeights | undefined,
): readonly Term[] {
  if (weights === undefined && terms.some(({ choice }) => choice !== undefined))
    throw new DdsasError('input', `'${id}' is a choice: a supernet needs archWeights to run`)
  const running = runningTerms(terms, weights)
  if (running.length > 0) return running
  throw new DdsasError('input', `'${id}' is a sum of nothing: sample at least one of its candidates`)
}

/** One pass: made, then run. */
export class Run {
  readonly #prepared: Prepared
  readonly #training: boolean
  readonly #terms = new Map<StateId, readonly Term[]>()
  readonly #weights = new Map<StateId, Tensor>()
  readonly #added = new Map<StateId, Tensor>()
  readonly #readers = new Map<StateId, Reader[]>()
  readonly #handles = new Map<string, Images>()
  /** How many readers, and callers, still hold a tensor. */
  readonly #holders = new Map<Tensor, number>()
  readonly #drop: Drop | undefined

  /** What it makes belongs to the scope around. */
  constructor(prepared: Prepared, images: Tensor, pass: Pass) {
    const weights = pass.archWeights && new TermWeights(pass.archWeights)
    this.#prepared = prepared
    this.#training = pass.training
    for (const state of prepared.states) {
      if (state.kind !== 'sum') continue
      const terms = checkedTerms(state.id, state.terms, weights)
      this.#terms.set(state.id, terms)
      const own = weights?.of(
        terms.map(({ choice, beside, layers }) => (isZero(layers) ? undefined : (choice ?? beside))),
      )
      if (own) this.#weights.set(state.id, own)
      const added = weights?.added(state.terms.map(({ choice }) => choice))
      if (added) this.#added.set(state.id, added)
    }
    this.#drop = this.#drawDrops(images, pass)
    this.#nameReaders()
  }

  #drawDrops(images: Tensor, { training, dropPath }: Pass): Drop | undefined {
    if (!training || dropPath === undefined || dropPath.rate === 0) return undefined
    // what passes its input on unchanged is never left out
    const droppable = [...this.#terms.values()].flat().map(({ layers }) => layers.length > 0)
    return drawDrops(dropPath, droppable, images)
  }

  /** Those that read through a concatenation come first, then the others in the order in which they run. */
  #nameReaders(): void {
    const { states, compiled } = this.#prepared
    const later: [StateId, Reader][] = []
    const name = (id: StateId, key: string, entry?: Beginning) => {
      const known = this.#readers.get(id)
      if (known) known.push({ key, entry })
      else this.#readers.set(id, [{ key, entry }])
    }
    for (const state of states) {
      if (state.kind === 'layers') {
        const parts = this.#prepared.apart.get(state.input)
        if (parts) for (const [part, id] of parts.entries()) name(id, `${state.id} ${part}`)
        else later.push([state.input, { key: `${state.id} 0`, entry: compiled.get(state)?.entry }])
      } else if (state.kind === 'sum') {
        for (const [index, term] of lookUp(this.#terms, state.id).entries())
          later.push([term.input, { key: `${state.id} ${index}`, entry: compiled.get(term)?.entry }])
      } else if (!this.#prepared.apart.has(state.id)) {
        for (const [index, id] of state.inputs.entries())
          later.push([id, { key: `${state.id} ${index}`, entry: undefined }])
      }
    }
    for (const [id, { key, entry }] of later) name(id, key, entry)
  }

  /** The value of each state that is wanted: [n, c, h, w], or [n, classes]. */
  values(images: Tensor): Map<StateId, Tensor> {
    const { outputs } = this.#prepared
    const found = new Map<StateId, Tensor>()
    this.#hold(images)
    this.#handOut(imagesId, images)
    for (const state of this.#prepared.states) {
      if (this.#prepared.apart.has(state.id)) continue
      const taken: Images[] = []
      const take = (key: string) => {
        const handle = lookUp(this.#handles, key)
        taken.push(handle)
        return handle
      }
      const value = tidy(() => this.#compute(state, take))
      if (outputs.includes(state.id)) {
        this.#hold(value)
        found.set(state.id, value)
      }
      this.#handOut(state.id, value)
      for (const { x, moments } of taken) {
        this.#release(x)
        moments?.dispose()
      }
    }
    return found
  }

  #hold(x: Tensor): void {
    this.#holders.set(x, (this.#holders.get(x) ?? 0) + 1)
  }

  #release(x: Tensor): void {
    const left = (this.#holders.get(x) ?? 0) - 1
    if (left > 0) this.#holders.set(x, left)
    else x.dispose()
  }

  /** Hands a state to its readers; what they begin with is computed at once, and all gradients that come back are added in one pass. */
  #handOut(id: StateId, x: Tensor): void {
    const all = handings(this.#readers.get(id) ?? [])
    const entries = all.map(({ entry }): Entry => (entry === 'relu' ? undefined : entry))
    const alike = this.#prepared.plain || (all.length < 2 && entries.every((entry) => entry === undefined))
    const handles = alike ? all.map((): Images => ({ x })) : fanOut(x, entries)
    for (const [index, { keys, entry }] of all.entries()) {
      const handle = entry === 'relu' ? { x: relu(handles[index].x) } : handles[index]
      if (entry === 'relu' && !alike) handles[index].x.dispose()
      for (const key of keys) {
        this.#hold(handle.x)
        this.#handles.set(key, handle)
      }
    }
    if (!this.#holders.has(x)) x.dispose()
  }

  #compute(state: State, take: (key: string) => Images): Tensor {
    const read = (key: string): Parts => {
      const { x, moments } = take(key)
      return moments ? { xs: [x], moments } : { xs: [x] }
    }
    switch (state.kind) {
      case 'layers': {
        const parts = this.#prepared.apart.get(state.input)
        const input = parts
          ? { xs: parts.map((_, part) => take(`${state.id} ${part}`).x) }
          : read(`${state.id} 0`)
        return joined(this.#through(state, input))
      }
      case 'sum':
        return this.#sum(state.id, read)
      case 'concat':
        return joined({ xs: state.inputs.map((_, index) => take(`${state.id} ${index}`).x) })
    }
  }

  #through(owner: State | Term, input: Parts): Parts {
    const { steps } = this.#prepared.compiled.get(owner) ?? empty
    return steps.reduce((value, step) => step(value, this.#training), input)
  }

  /** The weighted sum of all terms that run, with the batch norms that they end with. */
  #sum(id: StateId, read: (key: string) => Parts): Tensor {
    const terms = lookUp(this.#terms, id)
    const results = terms.map((term, index): Images => {
      const { moments, ...parts } = this.#through(term, read(`${id} ${index}`))
      const x = joined(parts)
      return moments ? { x, moments } : { x }
    })
    const weights = this.#weights.get(id) ?? null
    const kept = this.#drop?.(terms.length)
    const norms = () => terms.map((term) => this.#prepared.compiled.get(term)?.norm)
    const sum = this.#prepared.plain
      ? plainSum(results, weights, kept)
      : mix(results, weights, norms(), { training: this.#training, kept })
    const added = this.#added.get(id)
    return added ? add(sum, typeAs(added, sum)) : sum
  }
}

/** sum of weights[k] xs[k], of which drop-path kept a part in each image, term by term. */
function plainSum(terms: readonly Images[], weights: Tensor | null, kept: Tensor | undefined): Tensor {
  const row = (of: Tensor, k: number) => slice(of, 0, k, k + 1)
  const weighted = terms.map(({ x }, k) => {
    const some = kept === undefined ? x : mul(x, reshape(typeAs(row(kept, k), x), [-1, 1, 1, 1]))
    return weights === null ? some : mul(some, row(weights, k))
  })
  return weighted.reduce((sum, term) => add(sum, term))
}
