/** What config.json of a run says: the settings, the data and the machine; and what a resume may change of it. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import { readJson } from '../runs/files.ts'
import type { RunFolder } from '../runs/folder.ts'
import { describeEngine } from '../torch/index.ts'
import type { CommonConfig } from './common-settings.ts'
import { type CommonRequest, requestedSettings } from './request.ts'
import {
  assignSettings,
  bookkeepingOf,
  currentKey,
  describeDifferences,
  flatten,
  isTree,
  overlaySettings,
  parseSettings,
} from './settings.ts'

const environmentSchema = z.object({
  ddsas: z.string(),
  libtorch: z.string(),
  cpuCapability: z.string(),
  device: z.string(),
  node: z.string(),
})

/** Raised where settings or checkpoints of runs begun before can no longer be read. */
const runFormat = 2

const recordSchema = z.object({
  kind: z.string(),
  preset: z.string(),
  config: z.unknown(),
  data: z.object({
    directory: z.string(),
    fingerprint: z.string(),
    /** Names in the order of the logits; a search on CIFAR does not write them. */
    classes: z.array(z.string()).optional(),
    /** By which images are normalised; some runs do not say. */
    normalisation: z.object({ mean: z.array(z.number()), std: z.array(z.number()) }).optional(),
  }),
  environment: environmentSchema,
  format: z.number(),
})

export type Environment = z.infer<typeof environmentSchema>
export type RunRecord<Config> = Omit<z.infer<typeof recordSchema>, 'config'> & { readonly config: Config }

/** What tells one kind of run from another. */
export interface RunKind<Config extends CommonConfig> {
  readonly kind: 'search' | 'train'
  /** As people say: "search", "training". */
  readonly name: string
  readonly schema: z.ZodType<Config>
  /** Settings by the name of a preset. Throws DdsasError 'input' for an unknown one. */
  preset(name: string): Config
  /** The settings with what some leave open written out: two that give the same run are then the same. */
  effective?(config: Config): Config
}

/** The images of a run. */
export interface RunData {
  readonly directory: string
  readonly fingerprint: string
  /** Names in the order of the logits. */
  readonly classes?: readonly string[]
  /** By which they are normalised. */
  readonly normalisation?: { readonly mean: readonly number[]; readonly std: readonly number[] }
}

/** What a new run writes to its config.json. */
export function newRecord<Config extends CommonConfig>(
  { kind }: RunKind<Config>,
  preset: string,
  config: Config,
  device: string,
  data: RunData,
): RunRecord<Config> {
  return {
    format: runFormat,
    kind,
    preset,
    config,
    data: {
      directory: resolve(data.directory),
      fingerprint: data.fingerprint,
      ...(data.classes ? { classes: [...data.classes] } : {}),
      ...(data.normalisation ? { normalisation: numbersOf(data.normalisation) } : {}),
    },
    environment: environment(device),
  }
}

function numbersOf({ mean, std }: NonNullable<RunData['normalisation']>) {
  return { mean: [...mean], std: [...std] }
}

/** Whether a run says that it is of a kind; nothing else of its config.json is looked at. */
export function isRunOf(run: RunFolder, kind: RunKind<CommonConfig>['kind']): boolean {
  return z.object({ kind: z.literal(kind) }).safeParse(run.config).success
}

/** Throws DdsasError 'input' where config.json is of no such run, or was changed to something that cannot be. */
export function readRecord<Config extends CommonConfig>(
  run: RunFolder,
  { kind, name, schema }: RunKind<Config>,
): RunRecord<Config> {
  checkFormat(run.config, `config.json of ${run.path}`, name)
  const parsed = recordSchema.safeParse(run.config)
  if (parsed.success && parsed.data.kind === kind)
    return { ...parsed.data, config: parseSettings(schema, parsed.data.config, `config.json of ${run.path}`) }
  const where = parsed.success ? 'kind' : z.core.toDotPath(parsed.error.issues[0].path)
  throw new DdsasError(
    'input',
    `${run.path} is not the run of a ${name}: '${where}' of its config.json is not what a ${name} writes; ` +
      'name another run',
  )
}

/** Throws DdsasError 'input' where another version of this program began a run, and called its settings otherwise. */
function checkFormat(record: unknown, source: string, name: string): void {
  const found = z.object({ format: z.number().default(1), config: z.looseObject({}) }).safeParse(record).data
  if (found === undefined || found.format === runFormat) return
  if (found.format > runFormat)
    throw new DdsasError('input', `${source} is of a later version of ddsas; use that version`)
  const old = [...flatten(found.config).keys()].find((key) => currentKey(key) !== key)
  throw new DdsasError(
    'input',
    `${source} is of an earlier version of ddsas${old ? ` (setting '${old}')` : ''}; ` +
      `begin a new ${name}, or use ddsas 0.1`,
  )
}

/** Settings that people write are short. */
const maxSettingsBytes = 2 ** 20

/** The settings in a JSON file: alone, or in the config.json of a run. Throws DdsasError 'input' where there are none. */
function readSettings(path: string, { kind, name }: RunKind<CommonConfig>): object {
  const value = readJson(path, maxSettingsBytes)
  if (value === undefined)
    throw new DdsasError('input', `${path} does not exist; name a JSON file of settings`)
  if (!isTree(value))
    throw new DdsasError(
      'input',
      `${path} is not a JSON object; write settings as config.json of a run has them`,
    )
  if (!isTree(value.config)) return value
  checkFormat(value, path, name)
  if (value.kind === kind) return value.config
  throw new DdsasError('input', `${path} is of a run that is no ${name}; name settings of a ${name}`)
}

/** A configuration with the settings that a request changes: those of its file, then one by one. */
export function requestedConfig<Config extends CommonConfig>(
  kind: RunKind<Config>,
  config: Config,
  request: CommonRequest,
): Config {
  const { config: file } = request
  const { schema } = kind
  const base = file === undefined ? config : overlaySettings(schema, config, readSettings(file, kind), file)
  return assignSettings(schema, base, requestedSettings(request))
}

/** The run's settings with those of a request that may change; throws DdsasError 'input' naming one that may not. */
export function resumedConfig<Config extends CommonConfig>(
  kind: RunKind<Config>,
  { config: own }: RunRecord<Config>,
  request: CommonRequest,
): Config {
  const { preset: presetOf, effective = (config) => config } = kind
  const { preset } = request
  const base = preset === undefined ? own : { ...presetOf(preset), ...bookkeepingOf(own) }
  const config = requestedConfig(kind, base, request)
  const [difference] = describeDifferences(effective(own), effective(config), 'the run')
  if (difference !== undefined)
    throw new DdsasError('input', `${difference}; resume without it, or begin a new run with another --out`)
  return { ...own, ...bookkeepingOf(config) }
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
export function describeChanges(
  record: RunRecord<CommonConfig>,
  config: CommonConfig,
  device: string,
): string[] {
  const before = { ...record.environment, threads: record.config.threads }
  const now = { ...environment(device), threads: config.threads }
  return (Object.keys(before) as (keyof typeof before)[]).flatMap((key) =>
    before[key] === now[key] ? [] : [`${key} is ${now[key]}, the run began with ${before[key]}`],
  )
}
