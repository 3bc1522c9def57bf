/** SGD with clipping by global norm, and Adam, after torch.optim; each step is one operator (native/kernels/update.cc). */
import { DdsasError } from '../errors.ts'
import { call, copy, fillWith, keep, noGrad, run, Tensor, tidy, to, zerosLike } from '../torch/index.ts'
import { loadTensors } from './module.ts'

/** Gradients in the order of the parameters; null: the loss did not depend on the parameter. */
export type Gradients = readonly (Tensor | null)[]

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

/**
 * Gradients scaled as torch.nn.utils.clip_grad_norm_ scales them together with others, which are left alone: so that the joint
 * 2-norm of all is at most `clip`. `norm`: that before, a scalar.
 */
export function clipTogether(
  gradients: Gradients,
  others: Gradients,
  clip: number,
): { readonly gradients: Gradients; readonly norm: Tensor } {
  return noGrad(() => {
    const norms = [...gradients, ...others].flatMap((gradient) =>
      gradient === null ? [] : [call('aten::norm.Scalar', gradient, 2)],
    )
    if (norms.length === 0) return { gradients, norm: Tensor.from(Float32Array.of(0), []) }
    const norm = call('aten::norm.Scalar', call('aten::stack', norms, 0), 2)
    const inverse = call('aten::reciprocal', call('aten::add.Scalar', norm, 1e-6))
    const scale = call('aten::clamp_max', call('aten::mul.Scalar', inverse, clip), 1)
    return {
      gradients: gradients.map((gradient) => gradient && call('aten::mul.Tensor', gradient, scale)),
      norm,
    }
  })
}

export interface SgdOptions {
  readonly momentum: number
  /** L2 penalty, added to the gradient. */
  readonly weightDecay: number
  /** Moves by the gradient and the new velocity; unless given, by the velocity. */
  readonly nesterov?: boolean
}

/**
 * torch.optim.SGD. A parameter without a gradient is left alone until it first has one; from then on no gradient counts
 * as a gradient of zero: momentum and L2 go on acting on operations that were sampled before.
 */
export class Sgd {
  /** What is moved, by name. */
  readonly parameters: ReadonlyMap<string, Tensor>
  readonly #options: SgdOptions
  readonly #momentum = new Map<string, Tensor>()

  constructor(parameters: ReadonlyMap<string, Tensor>, options: SgdOptions) {
    this.parameters = parameters
    this.#options = options
  }

  /**
   * v <- momentum v + g with g = gradient + L2 w; w <- w - rate v, after Nesterov w - rate (g + momentum v). As torch.nn.utils.clip_grad_norm_ does, the gradients are scaled so
   * that their joint 2-norm is at most `clip`. Returns the norm before, a scalar; where it is not finite nothing moves.
   */
  step(gradients: Gradients, rate: number, clip = Number.POSITIVE_INFINITY): Tensor {
    const { momentum, weightDecay, nesterov = false } = this.#options
    return noGrad(() =>
      tidy(() => {
        const moving = this.#moving(gradients)
        if (moving.weights.length === 0) return Tensor.from(Float32Array.of(0), [])
        const { weights, velocities } = moving
        const rest = [rate, momentum, weightDecay, clip, nesterov] as const
        return call('ddsas::sgd_', weights, moving.gradients, velocities, ...rest)
      }),
    )
  }

  /** momentum v + gradient + L2 w: the velocities that a step would give, without it; null where there is no gradient. */
  velocities(gradients: Gradients): (Tensor | null)[] {
    const { momentum, weightDecay } = this.#options
    return noGrad(() =>
      [...this.parameters].map(([name, weight], index) => {
        const gradient = gradients[index]
        if (gradient === null) return null
        const own = call('aten::add.Tensor', gradient, weight, weightDecay)
        const velocity = this.#momentum.get(name)
        return velocity ? call('aten::add.Tensor', own, velocity, momentum) : own
      }),
    )
  }

  /** The parameters this step moves with their velocities and gradients; a new velocity is zero. */
  #moving(gradients: Gradients) {
    const moving = { weights: [] as Tensor[], velocities: [] as Tensor[], gradients: [] as (Tensor | null)[] }
    let index = 0
    for (const [name, weight] of this.parameters) {
      const gradient = gradients[index++]
      let velocity = this.#momentum.get(name)
      if (velocity === undefined) {
        if (gradient === null) continue
        velocity = keep(zerosLike(weight))
        this.#momentum.set(name, velocity)
      }
      moving.weights.push(weight)
      moving.velocities.push(velocity)
      moving.gradients.push(gradient)
    }
    return moving
  }

  /** Velocities by the parameter's name, of the parameters that ever had a gradient. */
  state(): Map<string, Tensor> {
    return new Map(this.#momentum)
  }

  /** Takes over velocities saved by `state`; the tensors given stay the caller's. */
  load(state: ReadonlyMap<string, Tensor>): void {
    for (const [name, saved] of state) checkLike(saved, this.parameters.get(name), name)
    this.dispose()
    for (const [name, saved] of state)
      this.#momentum.set(name, copyLike(saved, this.parameters.get(name), name))
  }

  dispose(): void {
    for (const velocity of this.#momentum.values()) velocity.dispose()
    this.#momentum.clear()
  }
}

export interface AdamOptions {
  readonly lr: number
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
  /** float64 [], where the parameters are: a recorded step counts on. */
  readonly #steps: Tensor

  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamOptions) {
    this.#parameters = parameters
    this.#options = options
    const zeros = () => noGrad(() => new Map([...parameters].map(([name, p]) => [name, keep(zerosLike(p))])))
    this.#mean = zeros()
    this.#square = zeros()
    const [first] = parameters.values()
    const device = first?.device ?? 'cpu'
    this.#steps = tidy(() => keep(to(Tensor.from(Float64Array.of(0), []), { device })))
  }

  /** m and v are running means of g and g^2 with g = gradient + L2 w; w <- w - lr m^ / (sqrt(v^) + eps). */
  step(gradients: Gradients): void {
    const { lr, betas, eps = 1e-8, weightDecay } = this.#options
    const state = [this.#parameters, this.#mean, this.#square].map((map) => [...map.values()])
    const [weights, means, squares] = state
    noGrad(() =>
      run('ddsas::adam_', weights, gradients, means, squares, this.#steps, lr, ...betas, eps, weightDecay),
    )
  }

  /** How many there were; waits for the device. */
  get steps(): number {
    return this.#steps.item()
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
    fillWith(this.#steps, steps)
  }

  dispose(): void {
    for (const tensor of this.state().values()) tensor.dispose()
    this.#steps.dispose()
  }
}
