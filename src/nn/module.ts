/** Modules: what owns parameters and buffers under PyTorch's names, and the walks over a tree of them. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import {
  copy,
  type Dtype,
  emptyMeta,
  type Generator,
  keep,
  noGrad,
  Tensor,
  tidy,
  to,
} from '../torch/index.ts'

/** Anything with weights. Names are those PyTorch gives: `children` become dotted prefixes of the names below them. */
export interface Module {
  readonly parameters?: Readonly<Record<string, Tensor>>
  /** Tensors that are saved but not trained: running statistics. */
  readonly buffers?: Readonly<Record<string, Tensor>>
  readonly children?: Readonly<Record<string, Module>>
}

/** Where and from which random stream a module makes its weights. */
export interface InitContext {
  /** `cpu`, `cuda:0`, …, or `meta` for a module that has shapes and no data, to count and name its weights. */
  readonly device: string
  readonly generator: Generator
  /** float32 where not said; float64 serves the checks of gradients. */
  readonly dtype?: Dtype
}

const contextSchema = z.object({
  device: z.string(),
  generator: z.object({ uniform: z.function(), normal: z.function() }, { error: 'expected a Generator' }),
})

/** Throws DdsasError 'input' where what was given to `what` cannot make modules. */
export function checkInitContext(context: InitContext, what: string): void {
  checkGiven(contextSchema, context, what, 'context')
}

function collect(
  module: Module,
  kind: 'parameters' | 'buffers',
  prefix: string,
  into: Map<string, Tensor>,
): void {
  for (const [name, tensor] of Object.entries(module[kind] ?? {})) into.set(prefix + name, tensor)
  for (const [name, child] of Object.entries(module.children ?? {}))
    collect(child, kind, `${prefix}${name}.`, into)
}

/** Every parameter by its dotted name, in the order of definition. */
export function namedParameters(module: Module): Map<string, Tensor> {
  const found = new Map<string, Tensor>()
  collect(module, 'parameters', '', found)
  return found
}

/** Every buffer by its dotted name. */
export function namedBuffers(module: Module): Map<string, Tensor> {
  const found = new Map<string, Tensor>()
  collect(module, 'buffers', '', found)
  return found
}

/** Parameters, then buffers: what a checkpoint of the module holds. */
export function stateDict(module: Module): Map<string, Tensor> {
  return new Map([...namedParameters(module), ...namedBuffers(module)])
}

/** What has a shape: a tensor, or what says which is wanted. */
interface Shaped {
  readonly shape: readonly number[]
}

function describeMismatches(
  target: ReadonlyMap<string, Shaped>,
  source: ReadonlyMap<string, Shaped>,
): string[] {
  const wrong: string[] = []
  for (const [name, tensor] of target) {
    const given = source.get(name)
    if (given === undefined) wrong.push(`'${name}' is missing`)
    else if (given.shape.join() !== tensor.shape.join())
      wrong.push(`'${name}' is [${given.shape}] instead of [${tensor.shape}]`)
  }
  for (const name of source.keys())
    if (!target.has(name)) wrong.push(`'${name}' is not a weight of this network`)
  return wrong
}

/**
 * Copies tensors into a module's own. Throws DdsasError 'checkpoint' naming the first three mismatches in name or shape,
 * and changes nothing then.
 */
export function loadTensors(
  target: Map<string, Tensor>,
  source: ReadonlyMap<string, Tensor>,
  what: string,
): void {
  const wrong = describeMismatches(target, source)
  if (wrong.length > 0) {
    const more = wrong.length > 3 ? ` and ${wrong.length - 3} more` : ''
    throw new DdsasError('checkpoint', `${what} holds other weights: ${wrong.slice(0, 3).join(', ')}${more}`)
  }
  noGrad(() => {
    for (const [name, tensor] of target) {
      const given = source.get(name)
      if (given) copy(tensor, given)
    }
  })
}

/** Frees every tensor of the module. */
export function disposeModule(module: Module): void {
  for (const tensor of stateDict(module).values()) tensor.dispose()
}

/** A kept tensor whose elements are drawn one by one; on the device `meta`, which holds shapes alone, none are. */
export function drawn(
  shape: readonly number[],
  draw: () => number,
  { device, dtype = 'float32' }: InitContext,
): Tensor {
  if (device === 'meta') return keep(emptyMeta(shape, dtype))
  const count = shape.reduce((product, length) => product * length, 1)
  return tidy(() =>
    keep(to(Tensor.from(Float32Array.from({ length: count }, draw), shape), { device, dtype })),
  )
}

/** Uniform in ±1/sqrt(fanIn): PyTorch's default for the weights and biases of convolutions and linear layers. */
export function uniformByFanIn(shape: readonly number[], fanIn: number, context: InitContext): Tensor {
  const bound = 1 / Math.sqrt(fanIn)
  return drawn(shape, () => bound * (2 * context.generator.uniform() - 1), context)
}

/** A kept tensor of one value. */
export function filled(shape: readonly number[], value: number, context: InitContext): Tensor {
  return drawn(shape, () => value, context)
}
