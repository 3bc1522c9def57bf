/** Median and quartiles of the seconds that a contestant took, as a report keeps and shows them. */
import { z } from 'zod'
import type { Timing } from './measure.ts'

/** In seconds. */
export const spreadSchema = z.object({
  median: z.number(),
  quartiles: z.tuple([z.number(), z.number()]).readonly(),
  /** How many turns these are of. */
  turns: z.number(),
})
export type Spread = z.infer<typeof spreadSchema>

/** What `takeTurns` says of a contestant. */
export const timingSchema = spreadSchema.extend({ name: z.string(), peak: z.number() })

/** A timing without what a reader of many of them does not look at. */
export function spreadOf({ median, quartiles, turns }: Timing): Spread {
  return { median, quartiles, turns }
}

/** 0.712 (0.705 … 0.731). */
export function spreadText({ median, quartiles }: Omit<Spread, 'turns'>, scale = 1, digits = 3): string {
  const show = (value: number) => (value * scale).toFixed(digits)
  return `${show(median)} (${quartiles.map(show).join(' … ')})`
}

/** "5 turns", or "5 to 15 turns" where contestants took different numbers. */
export function turnsText(spreads: readonly Pick<Spread, 'turns'>[]): string {
  const counts = spreads.map(({ turns }) => turns)
  const [fewest, most] = [Math.min(...counts), Math.max(...counts)]
  return fewest === most ? `${most} turns` : `${fewest} to ${most} turns`
}
