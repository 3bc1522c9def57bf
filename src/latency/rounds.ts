/** Timing many models so that what else the machine does hits all alike: round after round, each model has its turn. */
import type { TimedModel } from './runtime.ts'

/** Milliseconds of each model in each round [rounds, models]. */
export type Rounds = readonly (readonly number[])[]

export interface RoundLimits {
  /** Rounds before anything is judged. */
  readonly least: number
  /** Rounds after which it is enough whatever the spread. */
  readonly most: number
  /** Standard error of a time, as a part of it, at which it is enough: nine of ten models have to be there. */
  readonly precision: number
}

/** What a model's turn is: runs that are not timed, and of the timed ones the fastest counts. */
const turn = { untimed: 1, timed: 3 } as const

export interface Times {
  /** Of each model, in milliseconds. */
  readonly ms: readonly number[]
  /** Standard error of nine of ten models at most, as a part of their times. */
  readonly error: number
}

/** The value below which a share of others lie, between the two nearest. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = share * (sorted.length - 1)
  const low = Math.floor(at)
  const high = Math.min(low + 1, sorted.length - 1)
  return sorted[low] + (at - low) * (sorted[high] - sorted[low])
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/**
 * What rounds say of each model: the median of its shares in the rounds' levels, times the level of an undisturbed round (the
 * lower quartile). A round's level is the geometric mean of its times: a machine that is busy slows all of a round.
 */
export function timesOf(rounds: Rounds): Times {
  const levels = rounds.map((times) => Math.exp(mean(times.map(Math.log))))
  const level = quantile(levels, 0.25)
  const shares = (rounds[0] ?? []).map((_, model) =>
    rounds.map((times, round) => times[model] / levels[round]),
  )
  const errors = shares.map((values) => {
    // for normal noise the median's standard error, from the quartiles
    const spread = quantile(values, 0.75) - quantile(values, 0.25)
    return (0.93 * spread) / Math.sqrt(values.length) / median(values)
  })
  return { ms: shares.map((values) => level * median(values)), error: quantile(errors, 0.9) }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Whether times are known well enough, or as well as may be asked for. */
export function enoughRounds(rounds: Rounds, { least, most, precision }: RoundLimits): boolean {
  return rounds.length >= most || (rounds.length >= least && timesOf(rounds).error <= precision)
}

/**
 * Goes on with rounds until the times are known well enough. `onRound` is told all rounds after each one; `stopped` is asked
 * before each turn, and a round that was begun is dropped then.
 */
export async function timeRounds(
  models: readonly TimedModel[],
  done: Rounds,
  limits: RoundLimits,
  { onRound, stopped }: { readonly onRound: (rounds: Rounds) => void; readonly stopped: () => boolean },
): Promise<Rounds> {
  const rounds = [...done]
  while (!enoughRounds(rounds, limits)) {
    const round = await oneRound(models, rounds.length, stopped)
    if (round === undefined) break
    rounds.push(round)
    onRound(rounds)
  }
  return rounds
}

/** Another model begins each round; undefined where it was stopped. */
async function oneRound(
  models: readonly TimedModel[],
  first: number,
  stopped: () => boolean,
): Promise<number[] | undefined> {
  const times = models.map(() => Number.POSITIVE_INFINITY)
  for (const [turnOf] of models.entries()) {
    if (stopped()) return undefined
    const index = (turnOf + first) % models.length
    for (let run = 0; run < turn.untimed; run++) await models[index].time()
    for (let run = 0; run < turn.timed; run++)
      times[index] = Math.min(times[index], await models[index].time())
  }
  return times
}
