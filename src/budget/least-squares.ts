/** A straight line through points by least squares, and how well it fits. */
import { z } from 'zod'

export const lineSchema = z.object({
  slope: z.number(),
  intercept: z.number(),
  /** The share of the variance that the line explains: 1 where all points lie on it. */
  rSquared: z.number(),
})

export type Line = z.infer<typeof lineSchema>

/** y = slope x + intercept through [x, y] points; a level line of perfect fit where all y are equal. */
export function leastSquares(points: readonly (readonly [number, number])[]): Line {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))]
  let [xx, xy, yy] = [0, 0, 0]
  for (const [x, y] of points) {
    xx += (x - meanX) ** 2
    xy += (x - meanX) * (y - meanY)
    yy += (y - meanY) ** 2
  }
  const slope = xx === 0 ? 0 : xy / xx
  return { slope, intercept: meanY - slope * meanX, rSquared: yy === 0 ? 1 : (slope * xy) / yy }
}
