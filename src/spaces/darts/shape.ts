/** The shape of a DARTS network as it comes from JavaScript, from settings, or from names and sizes of weights. */
import { z } from 'zod'
import { checkGiven } from '../../checks.ts'
import { describeProgram, type NetworkDescription } from '../describe.ts'
import { parseGenotype } from './genotype-file.ts'
import { type NetworkShape, networkProgram } from './programs.ts'
import { networkKinds } from './stem.ts'

/** Bounds keep a slip from asking for a network without end. */
const shapeSchema = z.object({
  kind: z.enum(Object.keys(networkKinds)),
  genotype: z.unknown(),
  channels: z.int().positive().multipleOf(2).max(65_536),
  cells: z.int().positive().max(10_000),
  classes: z.int().positive().max(10_000_000),
  auxiliary: z.boolean(),
})

/** Throws DdsasError 'input' where `shape`, given to `what`, is none of a network. */
export function checkShape(shape: NetworkShape, what: string): void {
  checkGiven(shapeSchema, shape, what, 'shape')
  parseGenotype(shape.genotype, `given to ${what}`)
}

/**
 * Describes the network of a shape for images of `imageSide` pixels, whether or not the shape has the auxiliary head.
 * @throws {DdsasError} `input` for an operation that there is not, or a side that the network cannot halve.
 */
export function describeNetwork(shape: NetworkShape, imageSide?: number): NetworkDescription {
  checkShape(shape, 'describeNetwork')
  checkGiven(z.int().positive().optional(), imageSide, 'describeNetwork', 'imageSide')
  const program = networkProgram({ ...shape, auxiliary: true })
  return describeProgram(program, imageSide ?? networkKinds[shape.kind].imageSide)
}
