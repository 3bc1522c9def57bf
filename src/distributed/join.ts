/** How the processes of a run find one another, see that they are alike, and become a group. */
import { connect } from 'node:net'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { parseJson } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import {
  describeEngine,
  groupBackends,
  instructionSets,
  openGroup,
  openStore,
  storeGet,
  storeSet,
} from '../torch/index.ts'
import { commandLine, counted } from '../words.ts'
import type { Place } from './place.ts'
import { checkSame, groupOf, type Ranks } from './ranks.ts'

export interface JoinOptions {
  /** ddsas's own. */
  readonly version: string
  /** Where this rank computes: `cpu` or `cuda:0`, … */
  readonly device: string
  /** How long to wait for ranks that have not come. */
  readonly seconds: number
  /** Seconds without a sign of life after which a rank counts as gone; 20 unless given. */
  readonly silence?: number
  /** Looked at while it waits; may throw. */
  readonly look?: () => void
  /** Told the port once rank 0 listens; it may be 0 in the place, for any that is free. */
  readonly serving?: (port: number) => void
}

const defaultSilence = 20
const pollMs = 50

/**
 * Waits for all ranks and joins them. Throws DdsasError 'rank' naming those that never came, or are another version or on
 * another libtorch than rank 0; 'setup' where this build has no process groups.
 */
export async function joinRanks(place: Place, options: JoinOptions): Promise<Ranks> {
  const { device, silence = defaultSilence } = options
  const backends = groupBackends()
  const backend = device !== 'cpu' && backends.includes('nccl') ? 'nccl' : 'gloo'
  if (!backends.includes(backend))
    throw new DdsasError(
      'setup',
      `this build has no process groups: install libgloo-dev (headers of the Gloo in libtorch), then: ${commandLine('setup')}`,
    )
  const until = performance.now() + 1000 * options.seconds
  await openSharedStore(place, options, until)
  const names = await exchangeHellos(place, options, until)
  openGroup({ backend, rank: place.rank, names, silence, milliseconds: 1000 * options.seconds })
  const { rank, world, localRank, localWorld } = place
  return groupOf({ rank, world, localRank, localWorld, names, device })
}

async function openSharedStore(place: Place, options: JoinOptions, until: number): Promise<void> {
  const { host, port, rank } = place
  const milliseconds = 1000 * options.seconds
  const at = `${host}:${port} (MASTER_ADDR, MASTER_PORT)`
  if (rank > 0) {
    while (!(await answers(host, port)))
      await waitOn(until, options, `rank 0 never came: nothing answers at ${at}`)
  }
  try {
    const own = openStore({ host, port }, rank === 0, milliseconds)
    options.serving?.(own)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new DdsasError(
      'rank',
      `rank ${rank} cannot ${rank === 0 ? 'listen at' : 'reach'} ${at}: ${reason}`,
      {
        cause,
      },
    )
  }
}

/** Whether something listens there. */
function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 2000 })
    const end = (found: boolean) => {
      socket.destroy()
      resolve(found)
    }
    socket.once('connect', () => end(true))
    socket.once('timeout', () => end(false))
    socket.once('error', () => end(false))
  })
}

/** Waits a moment. Throws DdsasError 'rank' with `absent` when time is up. */
async function waitOn(until: number, { seconds, look }: JoinOptions, absent: string): Promise<void> {
  look?.()
  if (performance.now() > until)
    throw new DdsasError(
      'rank',
      `${absent} within ${counted(seconds, 'second')}: start all processes, or wait longer with DDSAS_JOIN_SECONDS`,
    )
  await sleep(pollMs)
}

/** What a rank says of itself; `facts`: what all must have alike. */
const helloSchema = z.object({
  host: z.string().max(256),
  process: z.number(),
  facts: z.record(z.string(), z.string()),
})
type Hello = z.infer<typeof helloSchema>

/** Throws DdsasError 'rank' where one of those that came is not like the first. */
function checkAlike(hellos: ReadonlyMap<number, Hello>): string[] {
  const sorted = [...hellos].sort(([a], [b]) => a - b)
  const names = sorted.map(([rank, { host, process: id }]) => `rank ${rank} (${host}, process ${id})`)
  checkSame(
    names,
    sorted.map(([, { facts }]) => JSON.stringify(facts)),
  )
  return names
}

/** What errors call each rank. */
async function exchangeHellos(place: Place, options: JoinOptions, until: number): Promise<string[]> {
  const { rank, world } = place
  const key = (of: number) => `hello/${of}`
  const { libtorch } = describeEngine()
  if (storeGet(key(rank)) !== undefined)
    throw new DdsasError('rank', `two processes are rank ${rank}: give each a RANK of its own`)
  const own: Hello = {
    host: hostname(),
    process: process.pid,
    facts: {
      'the version of ddsas': options.version,
      'the version of libtorch': libtorch,
      'the version of Node': process.version,
      // kernels of other instruction sets round otherwise
      'the instruction set of the kernels (DDSAS_SIMD)': instructionSets().used,
      'the kind of device': options.device.replace(/:.*/, ''),
      'the number of processes (WORLD_SIZE)': String(world),
    },
  }
  storeSet(key(rank), Buffer.from(JSON.stringify(own)))
  const hellos = new Map<number, Hello>()
  for (;;) {
    const missing: number[] = []
    for (let of = 0; of < world; of++) {
      const bytes = hellos.has(of) ? undefined : storeGet(key(of))
      if (bytes) hellos.set(of, helloSchema.parse(parseJson(Buffer.from(bytes).toString('utf8'))))
      if (!hellos.has(of)) missing.push(of)
    }
    const names = checkAlike(hellos)
    if (missing.length === 0) return names
    await waitOn(until, options, `rank ${missing.join(', rank ')} of ${world} never came`)
  }
}
