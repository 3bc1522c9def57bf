/** Net2Net (Chen et al.): the weights of a network for a wider one of the same layers, whose new channels are copies of drawn ones. */
import { call, copy, type Generator, indexSelect, noGrad, Tensor, tidy, to } from '../torch/index.ts'
import { flatLayers } from './layer.ts'
import type { Network } from './network.ts'
import { layersOf, type Program } from './program.ts'

type Tensors = ReadonlyMap<string, Tensor>

/** What the layers of a term, or of a state, are called together, by the names of the layers. */
function owners({ states }: Program): Map<string, string> {
  const found = new Map<string, string>()
  for (const state of states) {
    for (const { name } of layersOf(state)) found.set(name, state.id)
    if (state.kind !== 'sum') continue
    for (const term of state.terms)
      for (const { name } of flatLayers(term.layers, term.name)) found.set(name, term.name)
  }
  return found
}

/**
 * Which of the old channels new ones are: all in their order, then drawn ones, the same for all layers of a term, so that each copy
 * is fed by a copy. As published with DrNAS, what reads copies is not divided among them: batch norms take that back.
 */
export class Widening {
  readonly #generator: Generator
  readonly #owners: ReadonlyMap<string, string>
  readonly #drawn = new Map<string, BigInt64Array>()

  constructor({ program }: Pick<Network, 'program'>, generator: Generator) {
    this.#generator = generator
    this.#owners = owners(program)
  }

  /** Copies old weights, or what goes with them, into new ones of the same names; those that were not there stay as they are. */
  carry(old: Tensors, into: Tensors): void {
    noGrad(() => {
      for (const [name, tensor] of into) {
        const from = old.get(name)
        if (from) tidy(() => copy(tensor, this.#grown(name, from, tensor.shape)))
      }
    })
  }

  /** The same as new tensors of their new shapes, which belong to the scope around. */
  grown(old: Tensors, shapes: Tensors): Map<string, Tensor> {
    return new Map(
      [...old].flatMap(([name, from]) => {
        const like = shapes.get(name)
        return like ? [[name, noGrad(() => this.#grown(name, from, like.shape))] as const] : []
      }),
    )
  }

  #grown(name: string, from: Tensor, shape: readonly number[]): Tensor {
    return from.shape.reduce(
      (tensor, size, dimension) => {
        if (size === shape[dimension]) return tensor
        const channels = this.#channels(name, size, shape[dimension])
        const index = to(Tensor.from(channels, [channels.length]), { device: tensor.device })
        return indexSelect(tensor, dimension, index)
      },
      call('aten::alias', from),
    )
  }

  #channels(name: string, from: number, into: number): BigInt64Array {
    const layer = name.slice(0, name.lastIndexOf('.'))
    const key = `${this.#owners.get(layer) ?? layer} ${from} ${into}`
    const known = this.#drawn.get(key)
    if (known) return known
    const drawn = Array.from({ length: into }, (_, at) =>
      BigInt(at < from ? at : this.#generator.below(from)),
    )
    const made = BigInt64Array.from(drawn)
    this.#drawn.set(key, made)
    return made
  }
}
