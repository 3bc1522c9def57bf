/** Measures a latency table: times operations and networks of a space on this machine, and fits what each candidate costs. */
import { arch, cpus, platform } from 'node:os'
import { z } from 'zod'
import { tableCost } from '../budget/cost-table.ts'
import {
  type HeldOutErrors,
  type LatencyTable,
  type Timing,
  timedNetworkSchema,
  writeLatencyTable,
} from '../budget/latency-table.ts'
import { networkCosts } from '../budget/network-costs.ts'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { spaceOf } from '../spaces/network-shape.ts'
import type { SearchSpace } from '../spaces/space.ts'
import { fitCosts } from './fit.ts'
import { type Conditions, deployed, drawDifferent } from './networks.ts'
import { openPartial } from './partial.ts'
import { median } from './rounds.ts'
import { type Runtime, runtimeSchema } from './runtime.ts'
import { structureOf } from './structure.ts'
import { type LatencyObserver, Timer, type TimerOptions } from './timer.ts'

export interface MeasureRequest extends TimerOptions {
  /** Its name, or the space itself. */
  readonly space: string | SearchSpace
  /** How many networks the fit sees. */
  readonly networks: number
  /** How many it does not see, which say how well it predicts. */
  readonly heldOut: number
  /** Of the architectures that are drawn. */
  readonly seed: number
  /** Where the table is written; what is measured so far stands beside it, in `<out>.partial`. */
  readonly out: string
}

/** Its name, or the space itself. */
export const spaceSchema = z.union([z.string(), z.looseObject({ name: z.string() })])

const requestSchema = z.object({
  space: spaceSchema,
  network: timedNetworkSchema,
  batch: z.int().positive().max(65_536),
  threads: z.int().positive().max(1024),
  networks: z.int().positive().max(500),
  heldOut: z.int().positive().max(500),
  seed: z.int().nonnegative(),
  out: z.string().min(1),
})

/**
 * Measures a table and writes it. One that was stopped goes on where it was.
 * @throws {DdsasError} `interrupted` where it was stopped; `input` for what cannot be measured.
 */
export async function measureLatency(
  request: MeasureRequest,
  runtime: Runtime,
  observer: LatencyObserver = {},
): Promise<LatencyTable> {
  checkGiven(requestSchema, request, 'measureLatency', 'request')
  checkGiven(runtimeSchema, runtime, 'measureLatency', 'runtime')
  const space = spaceOf(request)
  const { network, networks, heldOut, batch, threads, seed } = request
  const timing = timingOf(runtime, request)
  const architectures = drawDifferent(space, networks + heldOut, seed)
  const programs = architectures.map((architecture) => deployed(space, architecture, network))
  // a table is sums over candidates: networks whose work is none are refused here, before hours of timing
  networkCosts(space, network, 'multiplyAdds')
  const structure = structureOf(space, network, programs)
  const partial = openPartial(request.out, {
    space: space.name,
    network: JSON.stringify(network),
    batch: String(batch),
    threads: String(threads),
    runtime: `${runtime.name} ${runtime.version}`,
    machine: timing.machine.cpu,
    networks: `${networks} + ${heldOut}`,
    seed: String(seed),
  })
  const timer = new Timer(request, runtime, observer, partial)
  const { alone, ms } = await keeping(request.out, async () => ({
    alone: await timer.operations(structure),
    ms: await timer.networks(programs),
  }))
  const timed = architectures.map((architecture, index) => ({
    picks: space.encode(architecture),
    ms: ms[index],
    architecture: space.format(architecture),
  }))
  const [seen, unseen] = [timed.slice(0, networks), timed.slice(networks)]
  const fitted = fitCosts(seen, { choices: space.choices, classes: structure.classes, alone })
  const table = { quantity: 'latency', unit: 'ms', ...fitted }
  const shown = ({ architecture, ms: took }: (typeof timed)[number]) => ({ architecture, ms: took })
  const result: LatencyTable = {
    space: space.name,
    network,
    ...timing,
    date: new Date().toISOString(),
    errors: errorsOf(
      unseen.map(({ picks, ms: measured }) => ({ measured, predicted: tableCost(table, picks) })),
    ),
    candidates: new Map(space.choices.map(({ name, candidates }) => [name, candidates])),
    table,
    fitted: seen.map(shown),
    heldOut: unseen.map(shown),
  }
  writeLatencyTable(request.out, result)
  partial.remove()
  return result
}

/** Says in an interruption where what was measured is. */
async function keeping<Result>(out: string, body: () => Promise<Result>): Promise<Result> {
  try {
    return await body()
  } catch (error) {
    if (!(error instanceof DdsasError && error.kind === 'interrupted')) throw error
    const kept = `${out}.partial has what was measured, and the same command goes on with it`
    throw new DdsasError('interrupted', `${error.message}; ${kept}`, { cause: error })
  }
}

/** Where and how models are timed. */
export function timingOf({ name, version }: Runtime, { batch, threads }: Conditions): Timing {
  const [processor] = cpus()
  const cpu = processor?.model.trim() || 'unknown'
  const machine = { cpu, cores: Math.max(1, cpus().length), platform: `${platform()}-${arch()}` }
  return { batch, threads, runtime: { name, version }, machine }
}

export interface Prediction {
  readonly measured: number
  readonly predicted: number
}

/** Relative errors of predictions. */
export function errorsOf(predictions: readonly Prediction[]): HeldOutErrors {
  const errors = predictions.map(({ measured, predicted }) => Math.abs(predicted - measured) / measured)
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length
  return { networks: errors.length, mean, median: median(errors), max: Math.max(...errors) }
}
