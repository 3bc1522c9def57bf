/** What is timed: networks of random architectures at one size, and each different operation of them by itself. */
import { DdsasError } from '../errors.ts'
import { images, lookUp, type Program, programShapes, withoutAuxiliary } from '../nn/index.ts'
import { drawArchitecture } from '../spaces/architecture-weights.ts'
import { checkFits } from '../spaces/describe.ts'
import type { NetworkSize, SearchSpace } from '../spaces/space.ts'
import { Generator } from '../torch/index.ts'
import { modelOf } from './model.ts'
import type { Runtime, TimedModel } from './runtime.ts'
import type { PlacedOperation } from './structure.ts'

/** Size of the networks and of their images. */
export type TimedSize = NetworkSize & { readonly imageSide: number }

/** How models are run. */
export interface Conditions {
  readonly batch: number
  readonly threads: number
}

/**
 * Different architectures, drawn at random; the same for the same seed.
 * @throws {DdsasError} `input` where the space has too few.
 */
export function drawDifferent(
  space: SearchSpace,
  count: number,
  seed: number,
  except: readonly string[] = [],
): unknown[] {
  const generator = new Generator(seed, 'timed architectures')
  const known = new Set(except)
  const drawn: unknown[] = []
  for (let tries = 0; drawn.length < count; tries++) {
    if (tries > 100 * count)
      throw new DdsasError(
        'input',
        `the space '${space.name}' has too few architectures to time ${count} of them; ask for fewer networks`,
      )
    const architecture = drawArchitecture(space, generator)
    const text = space.format(architecture)
    if (!known.has(text)) drawn.push(architecture)
    known.add(text)
  }
  return drawn
}

/** The network of an architecture as it is deployed. Throws DdsasError 'input' for a size that cannot be. */
export function deployed(space: SearchSpace, architecture: unknown, size: TimedSize): Program {
  const program = withoutAuxiliary(space.network(architecture, { ...size, auxiliary: false }))
  checkFits(program, size.imageSide)
  return program
}

/** Loads a network. */
export function loadNetwork(
  runtime: Runtime,
  program: Program,
  { imageSide, classes }: TimedSize,
  { batch, threads }: Conditions,
): Promise<TimedModel> {
  const image = [3, imageSide, imageSide] as const
  return runtime.load(modelOf(program, image, [classes]), { threads, input: [batch, ...image] })
}

/** Loads an operation by itself; what passes its input on where none is given, of the shape `input`. */
export function loadOperation(
  runtime: Runtime,
  { layers, input }: Pick<PlacedOperation, 'layers' | 'input'>,
  { batch, threads }: Conditions,
): Promise<TimedModel> {
  const output = 'output'
  const program: Program = {
    states: [{ id: output, kind: 'layers', input: images, name: 'operation', layers }],
    blocks: [],
    outputs: { logits: output },
    modules: ['operation'],
  }
  const shape = lookUp(programShapes(program, input), output)
  return runtime.load(modelOf(program, input, shape), { threads, input: [batch, ...input] })
}
