/** Checks the shape of a network that comes from JavaScript or from names and sizes of weights. */
import { z } from 'zod'
import { checkGiven } from '../../checks.ts'
import { precisions } from '../../nn/precision.ts'
import { parseGenotype } from './genotype-file.ts'
import type { NetworkShape } from './network.ts'
import { networkKinds } from './stem.ts'

/** Bounds keep a slip from asking for a network without end. */
const shapeSchema = z.object({
  kind: z.enum(Object.keys(networkKinds)),
  genotype: z.unknown(),
  channels: z.int().positive().multipleOf(2).max(65_536),
  cells: z.int().positive().max(10_000),
  classes: z.int().positive().max(10_000_000),
  auxiliary: z.boolean(),
  precision: z.enum(precisions).optional(),
})

/** Throws DdsasError 'input' where `shape`, given to `what`, is none of a network. */
export function checkShape(shape: NetworkShape, what: string): void {
  checkGiven(shapeSchema, shape, what, 'shape')
  parseGenotype(shape.genotype, `given to ${what}`)
}
