/**
 * A program as published code computes it: each layer by ATen's operator of it, a ReLU for each operation, zeros computed
 * where they are sampled, each term times a scalar taken from the matrix, all added up. The yardstick of the benchmarks,
 * and an oracle for networks: it shares with them the program and the names of the weights, and nothing that computes.
 */
import {
  images as imagesId,
  inputsOf,
  joinName,
  type NamedLayer,
  type Program,
  type Sequence,
  type State,
  type StateId,
  statesFor,
  type Term,
} from '../src/nn/index.ts'
import {
  add,
  avgPool2d,
  batchNorm,
  cat,
  channelShuffle,
  conv2d,
  globalAvgPool2d,
  linear,
  maxPool2d,
  mul,
  relu,
  reshape,
  sigmoid,
  slice,
  type Tensor,
  tidy,
} from '../src/torch/index.ts'

/** The weights of a group's candidates [rows, candidates], and which are in the subspace: zeros, too. */
export interface PlainMixing {
  readonly weights: Tensor
  readonly mask: readonly (readonly boolean[])[]
  /** [rows]: what rows as a whole weigh; ones where absent. */
  readonly rows?: Tensor
}

type Weights = ReadonlyMap<string, Tensor>

function known<Value>(values: ReadonlyMap<string, Value>, name: string): Value {
  const found = values.get(name)
  if (found === undefined) throw new Error(`the plain network needs '${name}'`)
  return found
}

/** Every `step`-th pixel from `start` on. */
function pixels(x: Tensor, start: number, step: number): Tensor {
  return slice(slice(x, 2, start, x.shape[2], step), 3, start, x.shape[3], step)
}

function forward(weights: Weights, { name, layer }: NamedLayer, x: Tensor): Tensor {
  const own = () => ({ weight: known(weights, `${name}.weight`), bias: weights.get(`${name}.bias`) })
  switch (layer.type) {
    case 'relu':
      return relu(x)
    case 'sigmoid':
      return sigmoid(x)
    // as in a pass without it
    case 'dropout':
      return x
    case 'shift':
      return pixels(x, 1, 1)
    case 'channels':
      return slice(x, 1, layer.from, layer.to)
    case 'channel_shuffle':
      return channelShuffle(x, layer.groups)
    case 'zero':
      return mul(layer.stride === 1 ? x : pixels(x, 0, layer.stride), 0)
    case 'max_pool2d':
      return maxPool2d(x, layer.kernel, layer.stride, layer.padding)
    case 'avg_pool2d':
      return avgPool2d(x, layer.kernel, layer.stride, layer.padding)
    case 'global_avg_pool2d':
      return globalAvgPool2d(x)
    case 'flatten':
      return reshape(x, [x.shape[0], -1])
    case 'linear':
      return linear(x, own().weight, own().bias)
    case 'conv2d': {
      const { stride, padding, dilation, groups } = layer
      return conv2d(x, own().weight, { stride, padding, dilation, groups, bias: own().bias })
    }
    case 'batch_norm2d':
      return batchNorm(x, {
        weight: weights.get(`${name}.weight`),
        bias: weights.get(`${name}.bias`),
        runningMean: known(weights, `${name}.running_mean`),
        runningVar: known(weights, `${name}.running_var`),
        training: true,
        momentum: layer.momentum,
      })
    case 'concat': {
      const branches = layer.branches.map((branch) => through(weights, name, branch, x))
      return cat(branches, 1)
    }
    case 'gate': {
      const scales = through(weights, name, layer.layers, x)
      return mul(x, reshape(scales, [x.shape[0], x.shape[1], 1, 1]))
    }
    case 'opaque':
      throw new Error(`the plain network has no layers of one's own such as '${layer.name}'`)
  }
}

function through(weights: Weights, prefix: string, layers: Sequence, x: Tensor): Tensor {
  return layers.reduce(
    (value, { name, layer }) => forward(weights, { name: joinName(prefix, name), layer }, value),
    x,
  )
}

function total(terms: readonly Tensor[]): Tensor {
  return terms.reduce((sum, term) => add(sum, term))
}

/** The terms that run, those of one decision (of a mixed operation, in published code) together. */
function decisionsOf(
  { id, terms }: Extract<State, { kind: 'sum' }>,
  mixings: ReadonlyMap<string, PlainMixing>,
): Term[][] {
  const decisions = new Map<string, Term[]>()
  for (const [index, term] of terms.entries()) {
    const { choice } = term
    if (choice && !known(mixings, choice.group).mask[choice.row][choice.column]) continue
    const key = choice ? `${choice.group} ${choice.row}` : `${index}`
    decisions.set(key, [...(decisions.get(key) ?? []), term])
  }
  if (decisions.size === 0) throw new Error(`the plain network has nothing in the subspace for '${id}'`)
  return [...decisions.values()]
}

/** One forward pass through the states of a program. */
class PlainRun {
  readonly #weights: Weights
  readonly #mixings: ReadonlyMap<string, PlainMixing>
  readonly #values: Map<StateId, Tensor>

  constructor(weights: Weights, mixings: ReadonlyMap<string, PlainMixing>, images: Tensor) {
    this.#weights = weights
    this.#mixings = mixings
    this.#values = new Map([[imagesId, images]])
  }

  /** What nobody reads any more is freed, but for what autograd keeps. */
  run(states: readonly State[], output: StateId): Tensor {
    const lastReaders = new Map(states.flatMap((state) => inputsOf(state).map((id) => [id, state] as const)))
    for (const state of states) {
      this.#values.set(
        state.id,
        tidy(() => this.#compute(state)),
      )
      for (const [id, reader] of lastReaders) if (reader === state && id !== imagesId) this.#free(id)
    }
    return this.#value(output)
  }

  #value(id: StateId): Tensor {
    return known(this.#values, id)
  }

  /** A state without layers is the tensor of another, which may be read still. */
  #free(id: StateId): void {
    const value = this.#value(id)
    this.#values.delete(id)
    if (![...this.#values.values()].includes(value)) value.dispose()
  }

  #compute(state: State): Tensor {
    switch (state.kind) {
      case 'layers':
        return through(this.#weights, state.name, state.layers, this.#value(state.input))
      case 'sum': {
        const decisions = decisionsOf(state, this.#mixings)
        return total(decisions.map((terms) => tidy(() => total(terms.map((term) => this.#term(term))))))
      }
      case 'concat':
        return cat(
          state.inputs.map((id) => this.#value(id)),
          1,
        )
    }
  }

  #term({ input, name, layers, choice, beside }: Term): Tensor {
    return tidy(() => {
      const x = this.#value(input)
      const rows = beside && known(this.#mixings, beside.group).rows
      if (beside && rows)
        return mul(through(this.#weights, name, layers, x), slice(rows, 0, beside.row, beside.row + 1))
      if (choice === undefined) return through(this.#weights, name, layers, x)
      const { weights } = known(this.#mixings, choice.group)
      const { row, column } = choice
      const scalar = slice(slice(weights, 0, row, row + 1), 1, column, column + 1)
      return mul(through(this.#weights, name, layers, x), scalar)
    })
  }
}

/**
 * Images [n, 3, h, w] -> logits [n, classes], in training mode. `weights`: parameters and buffers by name, which are moved
 * as training moves statistics. `weightsOf` is asked once for each group of the program's decisions.
 */
export function plainForward(
  program: Program,
  weights: Weights,
  images: Tensor,
  weightsOf: (group: string) => PlainMixing,
): Tensor {
  const { logits } = program.outputs
  const states = statesFor(program, [logits])
  const terms = states.flatMap((state) => (state.kind === 'sum' ? state.terms : []))
  const groups = new Set(terms.flatMap(({ choice }) => (choice ? [choice.group] : [])))
  return tidy(() => {
    const mixings = new Map([...groups].map((group) => [group, weightsOf(group)]))
    return new PlainRun(weights, mixings, images).run(states, logits)
  })
}
