/** How many epochs of a search fit into an amount of time, from steps measured on this device. */
import { formatTime } from '../budget/time-text.ts'
import { DdsasError } from '../errors.ts'
import { type MeasureObserver, type Plan, type PlanRequest, planLengths } from './plan.ts'

export interface TimePlan {
  readonly epochs: number
  /** Of all of them, as foretold. */
  readonly seconds: number
  readonly secondsPerEpoch: number
}

/** The most epochs that take no longer than `seconds`. Throws DdsasError 'budget' where not even one does, naming what it takes. */
export function epochsWithin(seconds: number, secondsPerEpoch: number): TimePlan {
  const epochs = Math.floor(seconds / secondsPerEpoch)
  if (epochs >= 1) return { epochs, seconds: epochs * secondsPerEpoch, secondsPerEpoch }
  throw new DdsasError(
    'budget',
    `--time ${formatTime(seconds)}: one epoch takes about ${formatTime(secondsPerEpoch)} here: the nearest that can be met is ` +
      `--time ${formatTime(secondsPerEpoch)}; or use fewer data.images, a smaller ddsas.subspace or network.channels`,
  )
}

/** A plan in which each L is searched for as many epochs as fit; 0 where not even one does. */
export function planWithin(plan: Plan, seconds: number): Plan {
  const lengths = plan.lengths.map((row) => {
    const perEpoch = row.seconds / plan.config.epochs
    const epochs = Math.floor(seconds / perEpoch)
    return { ...row, epochs, seconds: epochs * perEpoch, fits: epochs > 0 && row.fits }
  })
  return { ...plan, lengths }
}

/** Measures a search and says how many of its epochs fit. Throws what `planLengths` and `epochsWithin` throw. */
export function planEpochs(request: PlanRequest, seconds: number, observer?: MeasureObserver): TimePlan {
  const { lengths, config } = planLengths({ ...request, lengths: 'own' }, observer)
  return epochsWithin(seconds, lengths[0].seconds / config.epochs)
}
