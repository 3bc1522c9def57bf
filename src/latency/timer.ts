/** Times operations and networks in groups that are in memory together, telling how far it is and keeping what it has. */
import { DdsasError } from '../errors.ts'
import { layersOf, type Program, parameterCount } from '../nn/index.ts'
import { type Conditions, loadNetwork, loadOperation, type TimedSize } from './networks.ts'
import type { Partial } from './partial.ts'
import { enoughRounds, type RoundLimits, type Rounds, timeRounds, timesOf } from './rounds.ts'
import type { Runtime, TimedModel } from './runtime.ts'
import type { Structure } from './structure.ts'

/** How far a measurement is. */
export interface LatencyProgress {
  readonly models: 'operations' | 'networks'
  /** Models are made first, then all are timed round after round until times are known well enough. */
  readonly stage: 'making' | 'timing'
  readonly done: number
  /** Of `timing`: at most. */
  readonly total: number
  /** Of `timing`, from the second round on: the standard error so far of nine of ten times at most, as a part of them. */
  readonly error?: number
}

export interface LatencyObserver {
  readonly progress?: (progress: LatencyProgress) => void
  /** Asked between runs; where it is true what was measured is kept and the measurement ends. */
  readonly stopped?: () => boolean
}

export interface TimerOptions extends Conditions {
  readonly network: TimedSize
  readonly limits: RoundLimits
}

/** Where rounds are kept, of measurements that can go on. */
export type Kept = Pick<Partial, 'rounds' | 'save'>

const nothingKept: Kept = { rounds: () => [], save: () => {} }

/** Networks that are in memory together have at most so many parameters. */
const groupParameters = 2 ** 28

type Load = () => Promise<TimedModel>

export class Timer {
  readonly #options: TimerOptions
  readonly #runtime: Runtime
  readonly #observer: Required<LatencyObserver>
  readonly #kept: Kept

  constructor(
    options: TimerOptions,
    runtime: Runtime,
    { progress = () => {}, stopped = () => false }: LatencyObserver = {},
    kept: Kept = nothingKept,
  ) {
    this.#options = options
    this.#runtime = runtime
    this.#observer = { progress, stopped }
    this.#kept = kept
  }

  /**
   * What the operations of each class take by themselves, in milliseconds: less what an empty model takes that has the same
   * input. Throws DdsasError 'interrupted' where it was stopped.
   */
  async operations({ operations, parts }: Structure): Promise<number[]> {
    const inputs = new Map(operations.map(({ input }) => [input.join(), input]))
    const empty = [...inputs.values()].map((input) => ({ layers: [], input }))
    const loads = [...empty, ...operations].map(
      (operation) => () => loadOperation(this.#runtime, operation, this.#options),
    )
    const { ms } = timesOf(await this.#time('operations', 'operations', loads))
    const calls = new Map([...inputs.keys()].map((key, index) => [key, ms[index]]))
    const own = operations.map(({ input }, index) =>
      Math.max(0, ms[empty.length + index] - (calls.get(input.join()) ?? 0)),
    )
    return parts.map((indices) => indices.reduce((sum, index) => sum + own[index], 0))
  }

  /**
   * What each network takes, in milliseconds. Groups are compared by the first network, which is timed in each. Throws
   * DdsasError 'interrupted' where it was stopped.
   */
  async networks([first, ...others]: readonly Program[]): Promise<number[]> {
    const { network } = this.#options
    const load = (program: Program) => () => loadNetwork(this.#runtime, program, network, this.#options)
    const times: number[] = []
    for (const [index, group] of groupsOf(others).entries()) {
      const rounds = await this.#time('networks', `networks ${index}`, [first, ...group].map(load))
      const [reference, ...ms] = timesOf(rounds).ms
      if (index === 0) times.push(reference)
      times.push(...ms.map((value) => (value * times[0]) / reference))
    }
    return times
  }

  async #time(models: LatencyProgress['models'], group: string, loads: readonly Load[]): Promise<Rounds> {
    const { progress, stopped } = this.#observer
    const { limits } = this.#options
    const done = this.#kept.rounds(group, loads.length)
    if (enoughRounds(done, limits)) return done
    const loaded: TimedModel[] = []
    try {
      for (const load of loads) {
        this.#checkStopped()
        progress({ models, stage: 'making', done: loaded.length, total: loads.length })
        loaded.push(await load())
      }
      const onRound = (rounds: Rounds) => {
        this.#kept.save(group, rounds)
        const error = rounds.length > 1 ? { error: timesOf(rounds).error } : {}
        progress({ models, stage: 'timing', done: rounds.length, total: limits.most, ...error })
      }
      const rounds = await timeRounds(loaded, done, limits, { onRound, stopped })
      this.#checkStopped()
      return rounds
    } finally {
      for (const model of loaded) await model.release()
    }
  }

  #checkStopped(): void {
    if (this.#observer.stopped()) throw new DdsasError('interrupted', 'stopped while models were timed')
  }
}

/** Networks in their order, as many in each group as may be in memory together; an empty group where there are none. */
function groupsOf(programs: readonly Program[]): Program[][] {
  const groups: Program[][] = [[]]
  let parameters = 0
  for (const program of programs) {
    const own = parameterCount(program.states.flatMap(layersOf))
    if (parameters > 0 && parameters + own > groupParameters) {
      groups.push([])
      parameters = 0
    }
    groups[groups.length - 1].push(program)
    parameters += own
  }
  return groups
}
