/** A network as it comes from JavaScript, from settings, or from names and sizes of weights: an architecture and its sizes. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import type { Program } from '../nn/index.ts'
import { describeProgram, type NetworkDescription } from './describe.ts'
import { findSpace } from './index.ts'
import type { NetworkOptions, NetworkSize, SearchSpace } from './space.ts'

export interface NetworkShape extends NetworkOptions {
  /** Where the architecture is from: `darts` unless given; the space itself where it is one's own. */
  readonly space?: string | SearchSpace | undefined
  /** The architecture; a genotype in the space of DARTS. */
  readonly genotype: unknown
}

/** Height and width of the images that a kind of network is meant for. */
export const usualImageSides = { cifar: 32, imagenet: 224 } as const

/** Bounds keep a slip from asking for a network without end. */
const shapeSchema = z.object({
  kind: z.enum(Object.keys(usualImageSides)),
  genotype: z.unknown(),
  channels: z.int().positive().multipleOf(2).max(65_536),
  cells: z.int().positive().max(10_000),
  classes: z.int().positive().max(10_000_000),
  auxiliary: z.boolean(),
  space: z.union([z.string(), z.looseObject({ name: z.string() })]).optional(),
})

/** Throws DdsasError 'input' for a space that there is not. */
export function spaceOf({ space = 'darts' }: Pick<NetworkShape, 'space'>): SearchSpace {
  return typeof space === 'string' ? findSpace(space) : space
}

/** Throws DdsasError 'input' where `shape`, given to `what`, is none of a network. */
export function checkShape(shape: NetworkShape, what: string): void {
  checkGiven(shapeSchema, shape, what, 'shape')
  spaceOf(shape).parse(shape.genotype, `given to ${what}`)
}

/** The program of a network. Throws DdsasError 'input' for what cannot be built. */
export function programOf(shape: NetworkShape): Program {
  checkShape(shape, 'programOf')
  return spaceOf(shape).network(shape.genotype, shape)
}

/** The size of networks of a space that are trained for a kind of images. */
export function usualNetwork(space: SearchSpace, kind: NetworkOptions['kind']): NetworkSize {
  return space.usualNetwork?.(kind) ?? { kind, ...space.defaults, classes: 10 }
}

const spaceSchema = z.object({ defaults: z.looseObject({}), network: z.function(), parse: z.function() })

/**
 * A network of an architecture in its space's usual size, for readers that show what its blocks look like.
 * @throws {DdsasError} `input` for what is no architecture of the space.
 */
export function shownNetwork<Architecture>(space: SearchSpace<Architecture>, architecture: unknown): Program {
  checkGiven(spaceSchema, space, 'shownNetwork', 'space')
  const known = space.parse(architecture, 'given to shownNetwork')
  return space.network(known, { ...space.defaults, classes: 10, kind: 'cifar', auxiliary: false })
}

/**
 * Describes the network of a shape for images of `imageSide` pixels, whether or not the shape has the auxiliary head.
 * @throws {DdsasError} `input` for an operation that there is not, or a side that the network cannot halve.
 */
export function describeNetwork(shape: NetworkShape, imageSide?: number): NetworkDescription {
  checkShape(shape, 'describeNetwork')
  checkGiven(z.int().positive().optional(), imageSide, 'describeNetwork', 'imageSide')
  return describeProgram(programOf({ ...shape, auxiliary: true }), imageSide ?? usualImageSides[shape.kind])
}
