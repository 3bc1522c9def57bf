/** Checks that tensors from outside are the weights of a network, before anything of it takes memory. */
import { DdsasError } from '../errors.ts'
import { disposeModule, loadTensors, Network, type Program, stateDict } from '../nn/index.ts'
import { call, Generator, Tensor, tidy } from '../torch/index.ts'

/** Throws DdsasError 'input' where `tensors`, given to `what`, is no map of tensors by their names. */
export function checkTensors(tensors: ReadonlyMap<string, Tensor>, what: string): void {
  const given: unknown = tensors
  if (given instanceof Map && [...given.values()].every((tensor) => tensor instanceof Tensor)) return
  throw new DdsasError('input', `${what}: tensors: expected a map of tensors by name`)
}

/**
 * Checks that tensors are the weights of a program's network, all of them.
 * @throws {DdsasError} `checkpoint` naming the first three that differ.
 */
export function checkWeights(program: Program, tensors: ReadonlyMap<string, Tensor>, source: string): void {
  const network = new Network(program, { device: 'meta', generator: new Generator(0) })
  try {
    loadTensors(stateDict(network), tensors, source)
  } finally {
    disposeModule(network)
  }
}

/** Throws DdsasError 'checkpoint' naming the first tensor with an element that is no number; `source`: whose it is. */
export function checkFiniteWeights(tensors: ReadonlyMap<string, Tensor>, source: string): void {
  for (const [name, tensor] of tensors)
    if (!tidy(() => call('aten::all', call('aten::isfinite', tensor)).item()))
      throw new DdsasError(
        'checkpoint',
        `'${name}' of ${source} holds NaN or infinity; take the weights of an earlier epoch, or train again`,
      )
}
