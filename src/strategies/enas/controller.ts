/**
 * ENAS's controller: an LSTM of two layers that picks a candidate for one decision after the other, by logits
 * 2.5 tanh(W h / 5) of its state; what it picked is what it reads next.
 */

import { DdsasError } from '../../errors.ts'
import type { InitContext } from '../../nn/index.ts'
import type { ChoiceGroup } from '../../spaces/space.ts'
import {
  add,
  call,
  callMany,
  type Generator,
  indexSelect,
  linear,
  mul,
  noGrad,
  sum,
  Tensor,
  tidy,
  zerosLike,
} from '../../torch/index.ts'
import { controllerParameters, layers } from './controller-parameters.ts'
import { type Decided, type Decision, leftOut } from './decisions.ts'

const temperature = 5
const tanhConstant = 2.5
/** A sampled sequence. */
export interface Sampled {
  readonly decided: Decided
  /** The sum of the entropies of the decisions that were made, in nats. */
  readonly entropy: number
}

/** Hidden and cell state of each layer, [n, hidden]. */
type State = readonly (readonly [Tensor, Tensor])[]

/** It lives on the processor whatever the supernet's device: each decision is waited for. Float32, or the context's element type. */
export class Controller {
  /** By name. */
  readonly parameters: ReadonlyMap<string, Tensor>
  readonly #decisions: readonly Decision[]

  constructor(
    choices: readonly ChoiceGroup[],
    decisions: readonly Decision[],
    context: Pick<InitContext, 'generator' | 'dtype'>,
  ) {
    this.#decisions = decisions
    this.parameters = controllerParameters(choices, context)
  }

  #parameter(name: string): Tensor {
    const found = this.parameters.get(`controller.${name}`)
    if (found !== undefined) return found
    throw new DdsasError('input', `the controller has no parameter '${name}'`)
  }

  /** Decides where `made` says so, by chance. */
  sample(made: readonly boolean[], generator: Generator): Sampled {
    return noGrad(() =>
      tidy(() => {
        const decided: number[] = []
        let entropy = 0
        let { state, input } = this.#start(1)
        for (const [at, { group }] of this.#decisions.entries()) {
          const output = this.#step(input, state)
          state = output.state
          if (made[at]) {
            const logs = this.#logProbabilities(at, output.top, [decided]).floats()
            const probabilities = [...logs].map(Math.exp)
            entropy -= probabilities.reduce((total, p, k) => (p > 0 ? total + p * logs[k] : total), 0)
            decided.push(drawFrom(probabilities, generator))
          } else decided.push(leftOut)
          input = this.#embedded(group, [decided[at]])
        }
        return { decided, entropy }
      }),
    )
  }

  /** ln of the probability of each of n sequences, given which decisions are made: [n]; autograd follows. */
  logProbability(sequences: readonly Decided[]): Tensor {
    let { state, input } = this.#start(sequences.length)
    const parts: Tensor[] = []
    for (const [at, { group }] of this.#decisions.entries()) {
      const output = this.#step(input, state)
      state = output.state
      const columns = sequences.map((decided) => decided[at])
      const logs = this.#logProbabilities(at, output.top, sequences)
      const own = call(
        'aten::gather',
        logs,
        1,
        indices(
          columns.map((column) => Math.max(column, 0)),
          [-1, 1],
        ),
      )
      parts.push(
        mul(
          own,
          like(
            columns.map((column) => (column === leftOut ? 0 : 1)),
            [columns.length, 1],
            own,
          ),
        ),
      )
      input = this.#embedded(group, columns)
    }
    return sum(call('aten::cat', parts, 1), [1])
  }

  #start(count: number): { state: State; input: Tensor } {
    const input = indexSelect(this.#parameter('start'), 0, indices(Array(count).fill(0)))
    const zeros = call('aten::detach', zerosLike(input))
    return { input, state: Array.from({ length: layers }, () => [zeros, zeros]) }
  }

  #step(input: Tensor, before: State): { state: State; top: Tensor } {
    let top = input
    const state = before.map((own, layer) => {
      const of = (name: string) => this.#parameter(`lstm.${layer}.${name}`)
      const weights = [of('weight_ih'), of('weight_hh'), of('bias_ih'), of('bias_hh')]
      const [h, c] = callMany('aten::lstm_cell', top, own, ...weights)
      if (!h || !c) throw new DdsasError('torch', 'aten::lstm_cell returned nothing')
      top = h
      return [h, c] as const
    })
    return { state, top }
  }

  /** [n, candidates]; what cannot be picked, or was picked for the row before, is far below all others. */
  #logProbabilities(at: number, top: Tensor, sequences: readonly Decided[]): Tensor {
    const { group, row, allowed } = this.#decisions[at]
    const weight = this.#parameter(`prediction.${group}.weight`)
    const logits = linear(top, weight, this.#parameter(`prediction.${group}.bias`))
    const bounded = mul(call('aten::tanh', mul(logits, 1 / temperature)), tanhConstant)
    const closed = sequences.flatMap((decided) => {
      const taken = decided
        .slice(0, at)
        .filter((_, index) => this.#decisions[index].group === group && this.#decisions[index].row === row)
      return allowed.map((is, column) => (is && !taken.includes(column) ? 0 : -1e9))
    })
    const mask = like(closed, [sequences.length, allowed.length], bounded)
    return call('aten::log_softmax.int', add(bounded, mask), 1)
  }

  #embedded(group: string, columns: readonly number[]): Tensor {
    const embedding = this.#parameter(`embedding.${group}`)
    const last = embedding.shape[0] - 1
    return indexSelect(embedding, 0, indices(columns.map((column) => (column === leftOut ? last : column))))
  }

  dispose(): void {
    for (const tensor of this.parameters.values()) tensor.dispose()
  }
}

function indices(values: readonly number[], shape: readonly number[] = [values.length]): Tensor {
  const tensor = Tensor.from(BigInt64Array.from(values, BigInt), [values.length])
  return call('aten::reshape', tensor, shape)
}

function like(values: readonly number[], shape: readonly number[], other: Tensor): Tensor {
  const data = other.dtype === 'float64' ? Float64Array.from(values) : Float32Array.from(values)
  return Tensor.from(data, shape)
}

function drawFrom(probabilities: readonly number[], generator: Generator): number {
  const total = probabilities.reduce((sum, p) => sum + p, 0)
  let left = generator.uniform() * total
  const found = probabilities.findIndex((p) => {
    left -= p
    return left < 0
  })
  // rounding may leave a little
  return found < 0 ? probabilities.findLastIndex((p) => p > 0) : found
}
