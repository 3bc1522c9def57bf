/** Which of several processes this one is, as those that start processes say it: torchrun, Slurm's srun, Open MPI. */
import { DdsasError } from '../errors.ts'

/** Of one process among all of a run. */
export interface Place {
  readonly rank: number
  readonly world: number
  /** Among those on this machine. */
  readonly localRank: number
  readonly localWorld: number
  /** Where rank 0 listens. */
  readonly host: string
  readonly port: number
}

type Environment = Readonly<Record<string, string | undefined>>

/** What a starter calls rank, world, local rank and local world. `when`: set where it started this very process. */
interface Convention {
  readonly when: string
  readonly rank: string
  readonly world: readonly string[]
  readonly localRank: string
  readonly localWorld: readonly string[]
}

const conventions: readonly Convention[] = [
  {
    when: 'RANK',
    rank: 'RANK',
    world: ['WORLD_SIZE'],
    localRank: 'LOCAL_RANK',
    localWorld: ['LOCAL_WORLD_SIZE'],
  },
  {
    // a batch script has a rank too, and is alone
    when: 'SLURM_STEP_ID',
    rank: 'SLURM_PROCID',
    world: ['SLURM_STEP_NUM_TASKS', 'SLURM_NTASKS'],
    localRank: 'SLURM_LOCALID',
    localWorld: ['SLURM_NTASKS_PER_NODE'],
  },
  {
    when: 'OMPI_COMM_WORLD_RANK',
    rank: 'OMPI_COMM_WORLD_RANK',
    world: ['OMPI_COMM_WORLD_SIZE'],
    localRank: 'OMPI_COMM_WORLD_LOCAL_RANK',
    localWorld: ['OMPI_COMM_WORLD_LOCAL_SIZE'],
  },
]

/** As torchrun has it. */
const usualPort = 29500

/** More than any run has. */
const most = 4096

function number(env: Environment, names: readonly string[], low: number, high: number): number | undefined {
  const name = names.find((one) => env[one] !== undefined)
  if (name === undefined) return undefined
  const text = env[name] ?? ''
  const value = Number(text)
  if (/^\d{1,9}$/.test(text) && value >= low && value <= high) return value
  throw new DdsasError('input', `${name}=${text}: a whole number from ${low} to ${high} is wanted`)
}

/** The first host of Slurm's list: `gpu[03-05,9],b` begins with `gpu03`. */
function firstHost(list: string): string {
  const [, prefix, first, rest] = /^([^[,]+)(?:\[(\d+)[^\]]*\])?([^,]*)/.exec(list) ?? []
  return `${prefix ?? ''}${first ?? ''}${first === undefined ? '' : (rest ?? '')}`
}

function hostOf(env: Environment, world: number): string {
  const { MASTER_ADDR: address, SLURM_STEP_NODELIST: nodes } = env
  if (address !== undefined && address !== '') return address
  if (nodes) return firstHost(nodes)
  if (world === 1) return '127.0.0.1'
  throw new DdsasError('input', `MASTER_ADDR is not set: name the host of rank 0 for the ${world} processes`)
}

/**
 * The place that the environment gives this process; undefined where it says nothing, or of one process alone.
 * @throws {DdsasError} `input` for variables that contradict one another.
 */
export function placeFrom(env: Environment): Place | undefined {
  const convention = conventions.find(({ when }) => env[when] !== undefined)
  if (convention === undefined) return undefined
  const { rank: rankName, localRank, localWorld } = convention
  const world = number(env, convention.world, 1, most)
  if (world === undefined)
    throw new DdsasError(
      'input',
      `${rankName} is set and ${convention.world[0]} is not: set both, or neither`,
    )
  if (world === 1) return undefined
  const rank = number(env, [rankName], 0, world - 1)
  if (rank === undefined)
    throw new DdsasError('input', `${convention.when} is set and ${rankName} is not: set both, or neither`)
  const host = hostOf(env, world)
  return {
    rank,
    world,
    localRank: number(env, [localRank], 0, world - 1) ?? 0,
    localWorld: number(env, localWorld, 1, world) ?? 1,
    host,
    port: number(env, ['MASTER_PORT'], 1, 65_535) ?? usualPort,
  }
}
