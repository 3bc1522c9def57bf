/** What config.json of a search says: the settings, the data and the machine; and what a resume may change of it. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { z } from 'zod'
import type { ImageDataset } from '../data/index.ts'
import { DdsasError } from '../errors.ts'
import type { RunFolder } from '../runs/folder.ts'
import { describeEngine } from '../torch/index.ts'
import { applySettings, describeDifferences, parseSearchConfig, type SearchConfig } from './config.ts'
import { searchPreset } from './presets.ts'

const environmentSchema = z.object({
  ddsas: z.string(),
  libtorch: z.string(),
  cpuCapability: z.string(),
  device: z.string(),
  node: z.string(),
})

const recordSchema = z.object({
  kind: z.literal('search'),
  preset: z.string(),
  config: z.unknown(),
  data: z.object({ directory: z.string(), fingerprint: z.string() }),
  environment: environmentSchema,
})

export type Environment = z.infer<typeof environmentSchema>
export type SearchRecord = Omit<z.infer<typeof recordSchema>, 'config'> & { readonly config: SearchConfig }

/** What a new run writes to its config.json. */
export function searchRecord(
  preset: string,
  config: SearchConfig,
  device: string,
  data: { readonly directory: string; readonly dataset: ImageDataset },
): SearchRecord {
  const { fingerprint } = data.dataset
  return {
    kind: 'search',
    preset,
    config,
    data: { directory: resolve(data.directory), fingerprint },
    environment: environment(device),
  }
}

/** Throws DdsasError 'input' where config.json is not of a search, or was changed to something that cannot be. */
export function readRecord(run: RunFolder): SearchRecord {
  const parsed = recordSchema.safeParse(run.config)
  if (parsed.success)
    return { ...parsed.data, config: parseSearchConfig(parsed.data.config, `config.json of ${run.path}`) }
  const where = z.core.toDotPath(parsed.error.issues[0].path)
  throw new DdsasError(
    'input',
    `${run.path} is not the run of a search: '${where}' of its config.json is not what a search writes; ` +
      'name another run',
  )
}

/** The run's settings with those of `asked` that may change; throws DdsasError 'input' naming one that may not. */
export function resumedConfig(
  { config: own }: SearchRecord,
  asked: { readonly preset?: string; readonly settings: readonly string[] },
): SearchConfig {
  const { preset, settings } = asked
  const { threads, device, checkpoint } = own
  const base = preset === undefined ? own : { ...searchPreset(preset), threads, device, checkpoint }
  const config = applySettings(base, settings)
  const [difference] = describeDifferences(own, config, 'the run')
  if (difference !== undefined)
    throw new DdsasError('input', `${difference}; resume without it, or begin a new run with another --out`)
  return config
}

function environment(device: string): Environment {
  const { libtorch, cpuCapability } = describeEngine()
  return { ddsas: packageVersion(), libtorch, cpuCapability, device, node: process.version }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version
}

/** "libtorch is 2.4.0, the run began with 1.13.1" for each thing that may round otherwise than it did. */
export function describeChanges(record: SearchRecord, config: SearchConfig, device: string): string[] {
  const before = { ...record.environment, threads: record.config.threads }
  const now = { ...environment(device), threads: config.threads }
  return (Object.keys(before) as (keyof typeof before)[]).flatMap((key) =>
    before[key] === now[key] ? [] : [`${key} is ${now[key]}, the run began with ${before[key]}`],
  )
}
