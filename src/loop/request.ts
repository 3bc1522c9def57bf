/** What a caller may ask of a run, checked as settings are; and the settings that its short options stand for. */
import { availableParallelism } from 'node:os'
import { z } from 'zod'
import type { Ranks } from '../distributed/ranks.ts'
import { DdsasError } from '../errors.ts'
import { parseSettings } from './settings.ts'

/** Asks a run to save and stop once it is `aborted`: an AbortSignal, or anything that is looked at like one. */
export interface StopSignal {
  readonly aborted: boolean
}

/** What every run may be asked for. */
export interface CommonRequest {
  /** Settings to begin with, by the name of a preset. */
  readonly preset?: string | undefined
  /** JSON file of settings in place of the preset's: some or all, nested as in a run's config.json, which may be given too. */
  readonly config?: string | undefined
  /** `key=value` assignments on top of those. */
  readonly settings?: readonly string[] | undefined
  /** Folder with the images; when resuming, the one the run used unless given. */
  readonly data?: string | undefined
  /** Folder of a new run; the first of `runs/<preset>`, `runs/<preset>-2`, … that is free unless given. */
  readonly out?: string | undefined
  /** Folder of a run to go on with. */
  readonly resume?: string | undefined
  /** Checkpoint to go on from; the latest unless given. */
  readonly checkpoint?: number | undefined
  /** Take over the lock of another host, whose processes cannot be seen. */
  readonly takeOver?: boolean | undefined
  /** Short for the settings of these names. */
  readonly epochs?: number | undefined
  readonly seed?: number | undefined
  readonly device?: string | undefined
  readonly threads?: number | undefined
  /** Looked at after each step: once aborted, the run saves and ends with DdsasError 'interrupted'. */
  readonly signal?: StopSignal | undefined
  /** The processes that share the run, which all make the same request; this one alone unless given. */
  readonly ranks?: Ranks | undefined
}

/** The keys of `CommonRequest`. */
export const commonRequest = {
  preset: z.string().optional(),
  config: z.string().optional(),
  settings: z.array(z.string()).readonly().optional(),
  data: z.string().optional(),
  out: z.string().optional(),
  resume: z.string().optional(),
  checkpoint: z.int().nonnegative().optional(),
  takeOver: z.boolean().optional(),
  epochs: z.int().positive().optional(),
  seed: z.int().nonnegative().optional(),
  device: z.string().optional(),
  threads: z.int().positive().optional(),
  signal: z
    .custom<StopSignal>((value) => typeof value === 'object' && value !== null && 'aborted' in value, {
      error: 'expected an AbortSignal',
    })
    .optional(),
  ranks: z
    .custom<Ranks>((value) => typeof value === 'object' && value !== null && 'world' in value, {
      error: 'expected what joinRanks gave',
    })
    .optional(),
}

/** Throws DdsasError 'input' where a request has an option that `keys` do not know, or one of another type. */
export function checkRequest(request: unknown, keys: z.core.$ZodLooseShape, what: string): void {
  const known = Object.keys(keys)
  if (typeof request === 'object' && request !== null)
    for (const key of Object.keys(request))
      if (!known.includes(key))
        throw new DdsasError('input', `${what}: there is no option '${key}'; known are ${known.join(', ')}`)
  parseSettings(z.object(keys), request, what)
}

/** All settings that a request changes. */
export function requestedSettings(request: CommonRequest): string[] {
  const { epochs, seed, device, threads, settings = [] } = request
  const short = Object.entries({ epochs, seed, device, threads })
  return [...settings, ...short.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))]
}

/** What makes a run slow without need. */
export function threadWarnings(threads: number): string[] {
  const processors = availableParallelism()
  return threads > processors
    ? [`${threads} threads on ${processors} processors take longer than threads=${processors}`]
    : []
}

/** Warns where a learning rate rises for as long as there are epochs. */
export function warmUpWarnings(
  epochs: number,
  { lr, warmUp }: { readonly lr: number; readonly warmUp: number },
): string[] {
  if (warmUp < epochs) return []
  return [
    `the learning rate rises over weightOptimizer.warmUp = ${warmUp} epochs, of which there are ${epochs}: it never gets to ${lr}; lower weightOptimizer.warmUp`,
  ]
}
