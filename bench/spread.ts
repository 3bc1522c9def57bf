/** Median and quartiles of the seconds that a contestant took, as a report keeps and shows them. */
import { z } from 'zod'
import type { Timing } from './measure.ts'

/** In seconds. */
export const spreadSchema = z.object({
  median: z.number(),
  quartiles: z.tuple([z.number(), z.number()]).readonly(),
})
export type Spread = z.infer<typeof spreadSchema>

/** What `takeTurns` says of a contestant. */
export const timingSchema = spreadSchema.extend({ name: z.string(), peak: z.number(), turns: z.number() })

/** A timing without what a reader of many of them does not look at. */
export function spreadOf({ median, quartiles }: Timing): Spread {
  return { median, quartiles }
}

/** 0.712 (0.705 … 0.731). */
export function spreadText({ median, quartiles }: Spread, scale = 1, digits = 3): string {
  const show = (value: number) => (value * scale).toFixed(digits)
  return `${show(median)} (${quartiles.map(show).join(' … ')})`
}
