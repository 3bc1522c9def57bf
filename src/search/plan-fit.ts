/** Memory and time of a search at any L, from a few that were measured: all of it is a constant and a part for each operation that runs. */
import { leastSquares } from '../budget/least-squares.ts'
import { type Footprint, likelyPeak } from './footprint.ts'

/** What was seen of subspaces of L operations. */
export interface Measurement extends Pick<Footprint, 'typical' | 'spread'> {
  readonly subspace: number | null
  readonly secondsPerStep: number
  /** Of the measurement of accuracy. */
  readonly secondsPerImage: number
}

/** What is foretold of L operations. */
export interface Prediction {
  /** Bytes of tensors at the peak in the largest subspace that is likely. */
  readonly memory: number
  /** The same in a typical subspace. */
  readonly tensors: number
  readonly secondsPerStep: number
  /** Of the measurement of accuracy. */
  readonly secondsPerImage: number
}

/** `whole`: from which L on all do. */
export function fit(
  whole: number | undefined,
  measurements: readonly Measurement[],
): (subspace: number | null) => Prediction {
  const lineOf = (key: 'typical' | 'secondsPerStep' | 'secondsPerImage') =>
    line(measurements.map((measurement) => [measurement.subspace ?? 0, measurement[key]]))
  const [tensors, perStep, perImage] = [
    lineOf('typical'),
    lineOf('secondsPerStep'),
    lineOf('secondsPerImage'),
  ]
  // how sums over L of all operations differ, where each is taken once at most
  const shape = (subspace: number) =>
    whole === undefined ? 1 : Math.sqrt(subspace * Math.max(0, whole - subspace))
  const spreads = measurements.flatMap(({ subspace, spread }) => {
    const by = shape(subspace ?? 0)
    return by === 0 ? [] : [spread / by]
  })
  const spread = spreads.reduce((sum, one) => sum + one, 0) / spreads.length
  return (subspace) => {
    const at = Math.min(subspace ?? 0, whole ?? 0)
    const typical = tensors(at)
    return {
      memory: likelyPeak({ typical, spread: spread * shape(at) }),
      tensors: typical,
      secondsPerStep: perStep(at),
      secondsPerImage: perImage(at),
    }
  }
}

/** The line through points by least squares; flat where it would fall, which noise alone can make it do. */
function line(points: readonly (readonly [x: number, y: number])[]): (x: number) => number {
  const { slope, intercept } = leastSquares(points)
  if (slope >= 0) return (x) => intercept + slope * x
  const mean = points.reduce((sum, [, y]) => sum + y, 0) / points.length
  return () => mean
}
