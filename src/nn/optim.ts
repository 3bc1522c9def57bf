/** SGD and Adam after torch.optim, over `_foreach_` operators; clipping by global norm; the cosine schedule. */
import { DdsasError } from '../errors.ts'
import { copy, foreach, foreachNew, keep, noGrad, type Tensor, tidy, zerosLike } from '../torch/index.ts'
import { loadTensors } from './module.ts'

/** Gradients in the order of the parameters; null: the loss did not depend on the parameter. */
export type Gradients = readonly (Tensor | null)[]

function present(gradients: Gradients): Tensor[] {
  return gradients.filter((gradient) => gradient !== null)
}

/**
 * torch.nn.utils.clip_grad_norm_: scales the gradients in place so that their joint 2-norm is at most `limit`. Returns
 * the norm before, which is not finite when any gradient is not.
 */
export function clipGradNorm(gradients: Gradients, limit: number): number {
  const list = present(gradients)
  if (list.length === 0) return 0
  return tidy(() => {
    const squares = foreachNew('norm.Scalar', list, 2).map((norm) => norm.item() ** 2)
    const total = Math.sqrt(squares.reduce((sum, square) => sum + square, 0))
    const scale = limit / (total + 1e-6)
    if (scale < 1) foreach('mul_.Scalar', list, scale)
    return total
  })
}

/** The parameter that a saved state tensor belongs to. Throws DdsasError 'checkpoint' when there is none of its shape. */
function checkLike(saved: Tensor, parameter: Tensor | undefined, name: string): Tensor {
  if (parameter !== undefined && parameter.shape.join() === saved.shape.join()) return parameter
  throw new DdsasError(
    'checkpoint',
    `the optimizer state holds '${name}' [${saved.shape}], which is no parameter here`,
  )
}

/** A kept copy of a saved state tensor, on the device and in the memory format of its parameter. */
function copyLike(saved: Tensor, parameter: Tensor | undefined, name: string): Tensor {
  const like = checkLike(saved, parameter, name)
  const own = noGrad(() => keep(zerosLike(like)))
  copy(own, saved)
  return own
}

export interface SgdOptions {
  readonly momentum: number
  /** L2 penalty, added to the gradient. */
  readonly weightDecay: number
}

/**
 * torch.optim.SGD. A parameter without a gradient is left alone until it first has one; from then on no gradient counts
 * as a gradient of zero: momentum and L2 go on acting on operations that were sampled before.
 */
export class Sgd {
  readonly #parameters: ReadonlyMap<string, Tensor>
  readonly #options: SgdOptions
  readonly #momentum = new Map<string, Tensor>()

  constructor(parameters: ReadonlyMap<string, Tensor>, options: SgdOptions) {
    this.#parameters = parameters
    this.#options = options
  }

  /** v <- momentum v + gradient + L2 w; w <- w - rate v. */
  step(gradients: Gradients, rate: number): void {
    const { momentum, weightDecay } = this.#options
    noGrad(() =>
      tidy(() => {
        const moving = this.#moving(gradients)
        if (moving.weights.length === 0) return
        foreach('mul_.Scalar', moving.velocities, momentum)
        foreach('add_.List', moving.velocities, moving.weights, weightDecay)
        if (moving.gradients.length > 0) foreach('add_.List', moving.withGradient, moving.gradients, 1)
        foreach('add_.List', moving.weights, moving.velocities, -rate)
      }),
    )
  }

  /** The parameters this step moves with their velocities; a new velocity is zero. */
  #moving(gradients: Gradients) {
    const moving = { weights: [] as Tensor[], velocities: [] as Tensor[], withGradient: [] as Tensor[] }
    let index = 0
    for (const [name, weight] of this.#parameters) {
      const gradient = gradients[index++]
      let velocity = this.#momentum.get(name)
      if (velocity === undefined) {
        if (gradient === null) continue
        velocity = keep(zerosLike(weight))
        this.#momentum.set(name, velocity)
      }
      moving.weights.push(weight)
      moving.velocities.push(velocity)
      if (gradient !== null) moving.withGradient.push(velocity)
    }
    return { ...moving, gradients: present(gradients) }
  }

  /** Velocities by the parameter's name, of the parameters that ever had a gradient. */
  state(): Map<string, Tensor> {
    return new Map(this.#momentum)
  }

  /** Takes over velocities saved by `state`; the tensors given stay the caller's. */
  load(state: ReadonlyMap<string, Tensor>): void {
    for (const [name, saved] of state) checkLike(saved, this.#parameters.get(name), name)
    this.dispose()
    for (const [name, saved] of state)
      this.#momentum.set(name, copyLike(saved, this.#parameters.get(name), name))
  }

  dispose(): void {
    for (const velocity of this.#momentum.values()) velocity.dispose()
    this.#momentum.clear()
  }
}

export interface AdamOptions {
  readonly rate: number
  readonly betas: readonly [number, number]
  readonly eps?: number
  /** L2 penalty, added to the gradient. */
  readonly weightDecay: number
}

/** torch.optim.Adam over a few small tensors; no gradient counts as a gradient of zero. */
export class Adam {
  readonly #parameters: ReadonlyMap<string, Tensor>
  readonly #options: AdamOptions
  readonly #mean: Map<string, Tensor>
  readonly #square: Map<string, Tensor>
  #steps = 0

  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamOptions) {
    this.#parameters = parameters
    this.#options = options
    const zeros = () => noGrad(() => new Map([...parameters].map(([name, p]) => [name, keep(zerosLike(p))])))
    this.#mean = zeros()
    this.#square = zeros()
  }

  /** m and v are running means of g and g^2 with g = gradient + L2 w; w <- w - rate m^ / (sqrt(v^) + eps). */
  step(gradients: Gradients): void {
    const { rate, betas, eps = 1e-8, weightDecay } = this.#options
    const [beta1, beta2] = betas
    const weights = [...this.#parameters.values()]
    const mean = [...this.#mean.values()]
    const square = [...this.#square.values()]
    this.#steps += 1
    const correction1 = 1 - beta1 ** this.#steps
    const correction2 = Math.sqrt(1 - beta2 ** this.#steps)
    noGrad(() =>
      tidy(() => {
        const full = gradients.map((gradient, i) => gradient ?? zerosLike(weights[i]))
        const g = foreachNew('add.List', full, weights, weightDecay)
        foreach('mul_.Scalar', mean, beta1)
        foreach('add_.List', mean, g, 1 - beta1)
        foreach('mul_.Scalar', square, beta2)
        foreach('addcmul_.Scalar', square, g, g, 1 - beta2)
        const root = foreachNew('sqrt', square)
        foreach('div_.Scalar', root, correction2)
        foreach('add_.Scalar', root, eps)
        foreach('addcdiv_.Scalar', weights, mean, root, -rate / correction1)
      }),
    )
  }

  get steps(): number {
    return this.#steps
  }

  /** Both running means, named `mean.<parameter>` and `square.<parameter>`. */
  state(): Map<string, Tensor> {
    const named = (prefix: string, from: Map<string, Tensor>) =>
      [...from].map(([name, tensor]) => [`${prefix}.${name}`, tensor] as const)
    return new Map([...named('mean', this.#mean), ...named('square', this.#square)])
  }

  /** Takes over what `state` and `steps` gave; the tensors given stay the caller's. */
  load(state: ReadonlyMap<string, Tensor>, steps: number): void {
    loadTensors(this.state(), state, 'the optimizer state')
    this.#steps = steps
  }

  dispose(): void {
    for (const tensor of this.state().values()) tensor.dispose()
  }
}
