/** What commands that take a trained network have in common: which checkpoint of a run it is taken from. */
import { Option } from 'commander'
import { DdsasError } from '../errors.ts'
import type { WeightNotes } from '../export/weights.ts'
import { spaceOf } from '../spaces/network-shape.ts'
import { type NamedArchitecture, readArchitecture } from './genotype.ts'
import { wholeNumber } from './options.ts'

export function checkpointOption(): Option {
  return new Option(
    '--checkpoint <step>',
    'of a run: the checkpoint to take (default: the latest)',
  ).argParser(wholeNumber)
}

/** Throws DdsasError 'input' where a checkpoint is asked of a file. */
export function refuseCheckpoint(path: string, checkpoint: number | undefined): void {
  if (checkpoint !== undefined)
    throw new DdsasError('input', `--checkpoint ${checkpoint} is of a run, ${path} is a file: leave it out`)
}

/** "last", or "last-12" of a checkpoint that was asked for: what is written of one leaves the other's alone. */
export function withStep(name: string, checkpoint: number | undefined): string {
  return checkpoint === undefined ? name : `${name}-${checkpoint}`
}

/** The architecture whose network weights are: the one that was asked for, else what is known beside them. */
export function architectureOf(
  target: string,
  { space, genotype }: WeightNotes,
  asked: string | undefined,
): NamedArchitecture {
  if (asked !== undefined) return readArchitecture(asked)
  if (genotype !== undefined) return { space: spaceOf({ space }), architecture: genotype }
  throw new DdsasError('input', `${target} does not tell its genotype; give --genotype NAME, RUN or FILE`)
}
