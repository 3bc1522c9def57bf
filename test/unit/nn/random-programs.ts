/** Small programs of all kinds of layers and states, built by decisions that fast-check draws and shrinks. */
import fc from 'fast-check'
import { DdsasError } from '../../../src/errors.ts'
import {
  batchNorm2d,
  type Choice,
  channelShuffle,
  channels,
  concat,
  conv2d,
  filled,
  flatten,
  functional,
  gate,
  globalAvgPool2d,
  images,
  type Layer,
  linear,
  type NamedLayer,
  type Program,
  pool2d,
  relu,
  type Sequence,
  type Shape,
  type State,
  type StateId,
  sequenceShape,
  shift,
  sigmoid,
  type Term,
  zero,
} from '../../../src/nn/index.ts'
import { mul, reshape } from '../../../src/torch/index.ts'

export interface RandomProgram {
  readonly program: Program
  /** Of its images. */
  readonly input: Shape
  /** Of the group `g`, row by row; every row has `columns` candidates. */
  readonly sampledOps: readonly (readonly number[])[]
}

export const columns = 6
const input: Shape = [3, 6, 6]

interface Made {
  readonly id: StateId
  readonly shape: Shape
}

/** A layer of one's own with a weight: each channel times a number. */
export function scaling(channels: number): Layer {
  return {
    type: 'opaque',
    name: 'scaling',
    make: (context) => {
      const scale = filled([channels], 1.5, context)
      return { parameters: { scale }, forward: (x) => mul(x, reshape(scale, [1, channels, 1, 1])) }
    },
    outputShape: (shape) => shape,
    multiplyAdds: ([count, height, width]) => count * height * width,
  }
}

class Builder {
  readonly #decisions: readonly number[]
  #used = 0
  #layers = 0
  readonly states: State[] = []
  readonly #pool: Made[] = [{ id: images, shape: input }]
  readonly sampledOps: number[][] = []

  constructor(decisions: readonly number[]) {
    this.#decisions = decisions
  }

  /** The next decision, 0 once there are no more: the simplest. */
  below(count: number): number {
    return (this.#decisions[this.#used++] ?? 0) % count
  }

  one<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)]
  }

  /** One of the last states. */
  recent(): Made {
    return this.#pool[this.#pool.length - 1 - this.below(Math.min(4, this.#pool.length))]
  }

  #name(layer: Layer): NamedLayer {
    this.#layers += 1
    return { name: `l${this.#layers}`, layer }
  }

  #sequence(...layers: readonly Layer[]): NamedLayer[] {
    return layers.map((layer) => this.#name(layer))
  }

  #norm(channels: number): NamedLayer[] {
    return this.one([[], [batchNorm2d(channels, false)], [batchNorm2d(channels, true)]]).flatMap((layer) =>
      this.#name(layer),
    )
  }

  #separable(channels: number, outputs: number, stride: number): NamedLayer[] {
    const options = { stride, dilation: this.one([1, 2]), groups: channels }
    return this.#sequence(
      relu,
      conv2d(channels, channels, this.one([3, 5]), options),
      conv2d(channels, outputs, 1),
    )
  }

  #halving(channels: number, outputs: number): NamedLayer[] {
    // two halves of one channel there are not
    if (outputs === 1) return this.#sequence(relu, conv2d(channels, 1, 1, { stride: 2 }))
    const half = Math.floor(outputs / 2)
    const [straight] = this.#sequence(conv2d(channels, half, 1, { stride: 2 }))
    const [shifted] = this.#sequence(conv2d(channels, outputs - half, 1, { stride: 2 }))
    return this.#sequence(relu, concat([[straight], [functional(shift), shifted]]))
  }

  #convolution(channels: number): Layer {
    const grouped = this.below(3) === 1
    const outputs = grouped ? channels : this.one([4, 1, 6])
    return conv2d(channels, outputs, this.one([1, 2, 3, 5]), {
      stride: this.one([1, 2, 3]),
      dilation: this.one([1, 2]),
      groups: grouped ? channels : 1,
      bias: this.below(2) === 1,
    })
  }

  #gate(channels: number): Layer {
    const linearly = [flatten, linear(channels, 2), relu, linear(2, channels)]
    const inner = this.one([[conv2d(channels, channels, 1)], linearly])
    return gate(this.#sequence(globalAvgPool2d, ...inner, sigmoid))
  }

  #branches(channels: number): Layer {
    const branch = () =>
      this.one([
        () => [],
        () => this.#sequence(relu, conv2d(channels, 2, 1)),
        () => this.#separable(channels, 3, 1),
        () => this.#sequence(pool2d('max', 1), batchNorm2d(channels, false)),
      ])()
    return concat(Array.from({ length: 1 + this.below(3) }, branch))
  }

  #shuffled(count: number): Sequence {
    const shuffle = channelShuffle(count, count % 2 ? count : 2)
    return this.#sequence(...this.one([[shuffle], [shuffle, channels(0, Math.ceil(count / 2))]]))
  }

  /** Layers for images of a shape; those that do not fit are left out. */
  #piece(shape: Shape): Sequence {
    const [channels] = shape
    const kind = this.one(['max', 'avg'] as const)
    const makers: readonly (() => Sequence)[] = [
      () => this.#separable(channels, this.one([4, 3, 16]), this.one([1, 2])),
      () => this.#sequence(relu, conv2d(channels, this.one([4, 2]), 1)),
      () => this.#norm(channels),
      () => this.#halving(channels, this.one([4, 5])),
      () => this.#sequence(pool2d(kind, this.one([1, 2, 3]))),
      () => this.#sequence(pool2d(kind, 2, this.one([2, 3]), 0)),
      () => this.#sequence(this.#convolution(channels)),
      () => this.#sequence(this.#gate(channels)),
      () => this.#sequence(this.#branches(channels)),
      () => this.#sequence(this.one([relu, sigmoid, shift, globalAvgPool2d, zero(2)])),
      () => this.#sequence(scaling(channels)),
      () => this.#shuffled(channels),
    ]
    const made = this.one(makers)()
    return shapeAfter(made, shape) ? made : []
  }

  #layersFor(shape: Shape): Sequence {
    let layers: Sequence = []
    for (let left = this.below(4); left > 0; left--) {
      const so = shapeAfter(layers, shape) ?? shape
      layers = [...layers, ...this.#piece(so)]
    }
    return layers
  }

  /** Layers that make images of one shape of another's; undefined where there are none. */
  #between(from: Shape, to: Shape): Sequence | undefined {
    const [[channels], [outputs]] = [from, to]
    const stride = from[1] === to[1] && from[2] === to[2] ? 1 : 2
    const kept: readonly (() => Sequence)[] =
      channels === outputs
        ? [
            () => [],
            () => [...this.#sequence(pool2d(this.one(['max', 'avg']), stride)), ...this.#norm(outputs)],
            () => this.#sequence(zero(stride)),
          ]
        : []
    const any: readonly (() => Sequence)[] = [
      () => [...this.#separable(channels, outputs, stride), ...this.#norm(outputs)],
      () => [
        ...this.#separable(channels, outputs, stride),
        ...this.#norm(outputs),
        ...this.#separable(outputs, outputs, 1),
        ...this.#norm(outputs),
      ],
      () => [
        ...(stride === 1
          ? this.#sequence(relu, conv2d(channels, outputs, 1))
          : this.#halving(channels, outputs)),
        ...this.#norm(outputs),
      ],
    ]
    const layers = this.one([...kept, ...any])()
    return shapeAfter(layers, from)?.join() === to.join() ? layers : undefined
  }

  #add(state: State, shape: Shape): void {
    this.states.push(state)
    this.#pool.push({ id: state.id, shape })
  }

  #choices(terms: readonly Term[]): readonly Term[] {
    const which = this.one(['none', 'all', 'some'] as const)
    if (which === 'none') return terms
    const sampled = terms.flatMap((_, column) => (this.below(3) === 0 ? [column] : []))
    const row = this.sampledOps.length
    this.sampledOps.push(sampled)
    const chosen = terms.map((term, column): Term => {
      const choice: Choice = { group: 'g', row, column }
      return which === 'all' || this.below(2) === 0 ? { ...term, choice } : term
    })
    // something must run, or leave zeros
    const runs = chosen.some(
      ({ choice, layers }) =>
        choice === undefined || sampled.includes(choice.column) || layers.at(-1)?.layer.type === 'zero',
    )
    if (!runs) sampled.push(0)
    return chosen
  }

  addState(): void {
    const id = `s${this.states.length}`
    const base = this.recent()
    const kind = this.one(['layers', 'sum', 'concat'] as const)
    if (kind === 'concat') {
      const alike = this.#pool.filter(({ shape }) => shape[1] === base.shape[1] && shape[2] === base.shape[2])
      const inputs = Array.from({ length: 1 + this.below(3) }, () => this.one(alike))
      const channels = inputs.reduce((sum, { shape }) => sum + shape[0], 0)
      this.#add({ id, kind, inputs: inputs.map((one) => one.id) }, [channels, base.shape[1], base.shape[2]])
      return
    }
    const layers = this.#layersFor(base.shape)
    const shape = shapeAfter(layers, base.shape) ?? base.shape
    if (kind === 'layers') {
      this.#add({ id, kind, input: base.id, name: id, layers }, shape)
      return
    }
    const more = Array.from({ length: this.below(columns) }, () => this.recent()).flatMap((from) => {
      const between = this.#between(from.shape, shape)
      return between ? [{ input: from.id, layers: between }] : []
    })
    const terms = [{ input: base.id, layers }, ...more].map(
      (term, index): Term => ({ ...term, name: `${id}.${index}`, operation: `operation ${index}` }),
    )
    this.#add({ id, kind, terms: this.#choices(terms) }, shape)
  }

  program(): Program {
    for (let left = 1 + this.below(6); left > 0; left--) this.addState()
    const last = this.#pool[this.#pool.length - 1]
    const second = this.recent()
    const whole = this.below(2) === 1
    if (!whole)
      this.states.push({
        id: 'logits',
        kind: 'layers',
        input: last.id,
        name: 'classifier',
        layers: this.#sequence(globalAvgPool2d, flatten, linear(last.shape[0], 3)),
      })
    const logits = whole ? last.id : 'logits'
    const auxiliary = second.id === images ? {} : { auxiliary: second.id }
    return { states: this.states, blocks: [], outputs: { logits, ...auxiliary }, modules: ['classifier'] }
  }
}

/** Undefined where layers do not fit. */
function shapeAfter(layers: Sequence, shape: Shape): Shape | undefined {
  try {
    return sequenceShape(layers, shape)
  } catch (error) {
    if (error instanceof DdsasError) return undefined
    throw error
  }
}

export const randomPrograms: fc.Arbitrary<RandomProgram> = fc
  .array(fc.nat({ max: 0xffff }), { minLength: 10, maxLength: 150, size: 'max' })
  .map((decisions) => {
    const builder = new Builder(decisions)
    const program = builder.program()
    return { program, input, sampledOps: builder.sampledOps }
  })
