/** What can be foreseen to disappoint in a training: settings that make no sense on the images at hand. */

import { threadWarnings, warmUpWarnings } from '../loop/request.ts'
import type { TrainConfig } from './config.ts'
import type { TrainingImages } from './images.ts'

/** One line for each: what is so, what comes of it, what to do. */
export function trainWarnings(
  {
    data,
    weightOptimizer,
    epochs,
    threads,
  }: Pick<TrainConfig, 'data' | 'weightOptimizer' | 'epochs' | 'threads'>,
  {
    counts,
    classes,
    heldOutClasses,
    warnings,
  }: Pick<TrainingImages, 'counts' | 'classes' | 'heldOutClasses' | 'warnings'>,
): string[] {
  const { train, validation } = counts
  const found = [...warnings]
  if (data.batch > train)
    found.push(
      `data.batch = ${data.batch} is more than the ${train} images to train on, so that an epoch is one step; lower it, or use the preset folder`,
    )
  found.push(...warmUpWarnings(epochs, weightOptimizer))
  if (validation > 0 && heldOutClasses < classes.length)
    found.push(
      `the ${validation} images held out are of ${heldOutClasses} of ${classes.length} classes, and choose the best epoch by those alone; raise data.validation`,
    )
  return [...found, ...threadWarnings(threads)]
}
