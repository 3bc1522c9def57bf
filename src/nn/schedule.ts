/** Learning-rate schedules: the rate of an epoch from its number. */

/**
 * torch.optim.lr_scheduler.CosineAnnealingLR in closed form: `from` at epoch 0, falling to `to` at epoch `epochs`, so
 * that the last epoch, `epochs` - 1, still learns.
 */
export function cosineLr(epoch: number, epochs: number, from: number, to: number): number {
  return to + ((from - to) * (1 + Math.cos((Math.PI * epoch) / epochs))) / 2
}

/**
 * CosineAnnealingLR as the published search on ImageNet steps it: before the epoch, so that each has the rate of the next and
 * the last one has `to`; and recursively, so that after `rising` epochs, in which the rate rises in a line to `from`, it falls
 * from there instead of from where the cosine is by then.
 */
export function carriedCosineLr(
  epoch: number,
  epochs: number,
  from: number,
  to: number,
  rising: number,
): number {
  if (epoch < rising) return from * warmUp(epoch, rising)
  const height = (at: number) => 1 + Math.cos((Math.PI * at) / epochs)
  return to + ((from - to) * height(epoch + 1)) / height(rising)
}

/**
 * Falls in a line from `from` at epoch 0. The last five epochs fall five times slower: a step of 1 / `epochs` would be
 * large beside what is left (the published ImageNet recipe). Shorter trainings have fewer such epochs.
 */
export function linearLr(epoch: number, epochs: number, from: number): number {
  const tail = Math.min(5, Math.floor((epochs - 1) / 2))
  const steep = epochs - tail
  return epochs - epoch > tail ? (from * (steep - epoch)) / steep : (from * (epochs - epoch)) / (steep * tail)
}

/** Factor on the rate: rises in a line to 1 over the first `epochs` epochs, from 1 / `epochs` in the first. */
export function warmUp(epoch: number, epochs: number): number {
  return epoch < epochs ? (epoch + 1) / epochs : 1
}
