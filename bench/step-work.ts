/** What one search step has to do at least, operator by operator: two forward passes, two backward passes, the update. */

import { concatenationsApart, runningTerms } from '../src/nn/executor.ts'
import { type EntryKernel, type Fused, fuse, type Kernel } from '../src/nn/fuse.ts'
import {
  type Choice,
  images,
  isZero,
  namedLayers,
  type Program,
  parameterCount,
  relu,
  type State,
  type StateId,
  statesFor,
  type Term,
} from '../src/nn/index.ts'
import { type Flow, kernelMade, type Made, separableMade } from './kernel-work.ts'
import { extentAfter, joinWork, layerWork, wantedAfter, weightsOf } from './layer-work.ts'
import {
  type BothWays,
  type Extent,
  fanOutWork,
  mixWork,
  type Pooling,
  poolWork,
  sgdWork,
  type Wanted,
  type Work,
} from './work.ts'

export interface ProgramOnImages {
  /** Of a supernet. */
  readonly program: Program
  readonly batch: number
  /** Pixels of an image's side. */
  readonly side: number
}

/** For each group of decisions, and each of its rows, the columns of the candidates that run. */
export type Active = Readonly<Record<string, readonly (readonly number[])[]>>

/** The work of one operator in one pass. */
export interface Part extends Work {
  /** The operation it belongs to; `mix` and `fan_out` between them; of other layers the state's name, `inputs` in blocks. */
  readonly what: string
  readonly pass: 'forward' | 'backward' | 'update'
}

/** A step moves the architecture's parameters or the weights, and takes the gradients of no others. */
type Moved = 'architecture' | 'weights'

/** A state that is there: whether its gradient is taken, and who reads it. */
interface Handed {
  readonly extent: Extent
  readonly wanted: boolean
  /** Readers that take it as it is, and those that are separable convolutions. */
  copies: number
  convolutions: number
  /** Whether its ReLU was taken, which all that begin with it share. */
  rectified: boolean
  /** The others: same poolings are one, with several readers. */
  readonly pools: Map<string, Pooling & { readonly what: string }>
}

/** Whether a kernel begins with a batch norm, which leaves its gradient to what made its input. */
function beginsWithNorm(found: Kernel): boolean {
  return found.kernel === 'norm' || (found.kernel === 'separable' && found.norm !== undefined)
}

function known<Key, Value>(values: ReadonlyMap<Key, Value>, key: Key): Value {
  const found = values.get(key)
  if (found === undefined) throw new Error('a program is walked in an order that it does not have')
  return found
}

/** One forward and one backward pass. */
class PassWork {
  readonly parts: Part[] = []
  /** Of all that runs. */
  weights = 0
  readonly #trains: boolean
  readonly #active: Active
  readonly #fused: ReadonlyMap<State | Term, Fused>
  readonly #apart: ReadonlyMap<StateId, readonly StateId[]>
  readonly #handed = new Map<StateId, Handed>()

  constructor({ program, batch, side }: ProgramOnImages, active: Active, moved: Moved) {
    const outputs = [program.outputs.logits]
    const states = statesFor(program, outputs)
    this.#trains = moved === 'weights'
    this.#active = active
    this.#fused = fuse(program)
    this.#apart = concatenationsApart(states, outputs)
    this.#handOut(images, { batch, channels: 3, side }, false)
    for (const state of states) if (!this.#apart.has(state.id)) this.#make(state)
    for (const handed of this.#handed.values()) this.#finish(handed)
  }

  #add(what: string, { forward, backward, weights }: BothWays): void {
    this.parts.push({ what, pass: 'forward', ...forward }, { what, pass: 'backward', ...backward })
    this.weights += weights
  }

  #wanted(x: boolean): Wanted {
    return { x, weights: this.#trains }
  }

  #handOut(id: StateId, extent: Extent, wanted: boolean): void {
    this.#handed.set(id, { extent, wanted, copies: 0, convolutions: 0, rectified: false, pools: new Map() })
  }

  /** Once all readers are known: what they read together, and the sums of the gradients that come back from them. */
  #finish({ extent, wanted, copies, convolutions, pools }: Handed): void {
    const gradients = this.#wanted(wanted)
    for (const { what, ...pool } of pools.values()) this.#add(what, poolWork(pool, gradients))
    this.#add('fan_out', fanOutWork(extent, { copies, convolutions, pools: pools.size }, gradients))
  }

  #make(state: State): void {
    switch (state.kind) {
      case 'layers': {
        const what = state.block === undefined ? state.name : 'inputs'
        const { extent, wanted } = this.#through(what, state, this.#apart.get(state.input) ?? [state.input])
        this.#handOut(state.id, extent, wanted)
        break
      }
      case 'sum':
        this.#sum(state.id, state.terms)
        break
      case 'concat': {
        const { extent, wanted } = this.#read(state.inputs)
        this.#add('concat', joinWork(extent, this.#wanted(wanted)))
        this.#handOut(state.id, extent, wanted)
      }
    }
  }

  #sum(id: StateId, all: readonly Term[]): void {
    const runs = ({ group, row, column }: Choice) => this.#active[group][row].includes(column)
    const running = runningTerms(all, { runs })
    const flows = running.map((term) => this.#through(term.operation, term, [term.input]))
    const norms = running.map((term) => known(this.#fused, term).norm)
    const terms = flows.map(({ wanted, leaves }, k) => ({
      wanted,
      left: leaves,
      normed: norms[k] !== undefined,
    }))
    const weights = norms.reduce((sum, norm) => sum + (norm ? weightsOf(norm.layer) : 0), 0)
    const mixes = !this.#trains && running.some(({ choice, layers }) => choice && !isZero(layers))
    const [{ extent }] = flows
    this.#add('mix', { ...mixWork(extent, terms, mixes), weights })
    const own = mixes || (this.#trains && weights > 0)
    this.#handOut(id, extent, own || flows.some(({ wanted }) => wanted))
  }

  /** States as they are, of several the channels side by side. */
  #read(ids: readonly StateId[]): Flow {
    const states = ids.map((id) => known(this.#handed, id))
    for (const state of states) state.copies += 1
    const channels = states.reduce((sum, { extent }) => sum + extent.channels, 0)
    const wanted = states.some((state) => state.wanted)
    return { extent: { ...states[0].extent, channels }, wanted, leaves: true }
  }

  #through(what: string, owner: State | Term, ids: readonly StateId[]): Flow {
    const { entry, kernels, norm } = known(this.#fused, owner)
    const normAt = (place: number) =>
      place < kernels.length ? beginsWithNorm(kernels[place]) : norm !== undefined
    let flow = entry ? this.#enter(what, entry, known(this.#handed, ids[0]), normAt(0)) : this.#read(ids)
    for (const [place, found] of kernels.entries()) {
      const wanted = this.#wanted(flow.wanted)
      flow = this.#made(what, kernelMade(found, flow, normAt(place + 1), wanted), wanted)
    }
    return flow
  }

  #enter(what: string, entry: EntryKernel, from: Handed, left: boolean): Flow {
    const { extent, wanted } = from
    if (entry.kernel === 'separable') {
      from.convolutions += 1
      const all = this.#wanted(wanted)
      return this.#made(what, separableMade(entry, extent, { left, shared: true }, all), all)
    }
    if (entry.kernel === 'relu') {
      if (!from.rectified) {
        from.rectified = true
        from.copies += 1
        this.#add('relu', layerWork(relu, extent, this.#wanted(wanted)))
      }
      return { extent, wanted, leaves: false }
    }
    const { type, stride } = entry.pool.layer
    const pool = { what, kind: type === 'max_pool2d' ? 'max' : 'avg', input: extent, stride } as const
    const { readers = 0, norms = 0 } = from.pools.get(`${type} ${stride}`) ?? {}
    from.pools.set(`${type} ${stride}`, { ...pool, readers: readers + 1, norms: norms + Number(left) })
    return { extent: extentAfter(entry.pool.layer, extent), wanted, leaves: true }
  }

  #made(what: string, { work, extent, leaves }: Made, wanted: Wanted): Flow {
    this.#add(what, work)
    return { extent, wanted: wantedAfter(work, wanted).x, leaves }
  }
}

/**
 * All work of a search step: the architecture step, and the weight step with its update of all weights. The update of the
 * architecture's parameters, a few hundred numbers, and the preparation of the batches are not counted.
 * @throws {DdsasError} `input` for a program with a layer of one's own.
 */
export function stepWork(on: ProgramOnImages, active: Active): Part[] {
  const architecture = new PassWork(on, active, 'architecture')
  const weights = new PassWork(on, active, 'weights')
  const all = parameterCount(namedLayers(on.program))
  const update = { what: 'sgd', pass: 'update', ...sgdWork(all, weights.weights) } as const
  return [...architecture.parts, ...weights.parts, update].filter(({ bytes }) => bytes > 0)
}
