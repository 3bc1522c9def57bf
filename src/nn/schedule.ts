/** Learning-rate schedules: the rate of an epoch from its number. */

/**
 * torch.optim.lr_scheduler.CosineAnnealingLR in closed form: `from` at epoch 0, falling to `to` at epoch `epochs`, so
 * that the last epoch, `epochs` - 1, still learns.
 */
export function cosineRate(epoch: number, epochs: number, from: number, to: number): number {
  return to + ((from - to) * (1 + Math.cos((Math.PI * epoch) / epochs))) / 2
}
