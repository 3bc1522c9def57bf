/** Whether a latency table holds on this machine: measures a few networks anew and compares. */
import { z } from 'zod'
import { tableCost } from '../budget/cost-table.ts'
import { type HeldOutErrors, type LatencyTable, latencyCosts } from '../budget/latency-table.ts'
import { checkGiven } from '../checks.ts'
import { spaceOf } from '../spaces/network-shape.ts'
import type { SearchSpace } from '../spaces/space.ts'
import { errorsOf, type Prediction, spaceSchema } from './measure.ts'
import { deployed, drawDifferent } from './networks.ts'
import type { RoundLimits } from './rounds.ts'
import { type Runtime, runtimeSchema } from './runtime.ts'
import { type LatencyObserver, Timer } from './timer.ts'

export interface CheckRequest {
  /** Its name where the registry has it, or the space itself. */
  readonly space: string | SearchSpace
  readonly table: LatencyTable
  /** Names the table in errors. */
  readonly source: string
  /** How many networks, none of which the table's measurement had. */
  readonly networks: number
  readonly seed: number
  readonly limits: RoundLimits
}

const requestSchema = z.object({
  space: spaceSchema,
  table: z.object({ fitted: z.array(z.unknown()), heldOut: z.array(z.unknown()) }),
  source: z.string(),
  networks: z.int().positive().max(500),
  seed: z.int().nonnegative(),
  limits: z.object({}),
})

export interface LatencyCheck {
  readonly networks: readonly (Prediction & { readonly architecture: string })[]
  /** Relative errors of the table as it is. */
  readonly errors: HeldOutErrors
  /** What this machine takes for each millisecond of the table, at the median. */
  readonly ratio: number
  /** Relative errors that remain when the table is multiplied by that. */
  readonly scaled: HeldOutErrors
}

/**
 * Measures networks and compares them with a table.
 * @throws {DdsasError} `input` for a table of another space; `interrupted` where it was stopped.
 */
export async function checkLatency(
  request: CheckRequest,
  runtime: Runtime,
  observer: LatencyObserver = {},
): Promise<LatencyCheck> {
  checkGiven(requestSchema, request, 'checkLatency', 'request')
  checkGiven(runtimeSchema, runtime, 'checkLatency', 'runtime')
  const { table, source, networks, seed, limits } = request
  const space = spaceOf(request)
  const costs = latencyCosts(table, space, table.network, source)
  const known = [...table.fitted, ...table.heldOut].map(({ architecture }) => architecture)
  const architectures = drawDifferent(space, networks, seed, known)
  const programs = architectures.map((architecture) => deployed(space, architecture, table.network))
  const ms = await new Timer({ ...table, limits }, runtime, observer).networks(programs)
  const compared = architectures.map((architecture, index) => ({
    architecture: space.format(architecture),
    measured: ms[index],
    predicted: tableCost(costs, space.encode(architecture)),
  }))
  const ratios = compared.map(({ measured, predicted }) => measured / predicted).toSorted((a, b) => a - b)
  const ratio = ratios[Math.floor(ratios.length / 2)]
  const scaled = compared.map(({ measured, predicted }) => ({ measured, predicted: ratio * predicted }))
  return { networks: compared, errors: errorsOf(compared), ratio, scaled: errorsOf(scaled) }
}
