/** `ddsas config`: the settings of a search or a training: as they are resolved, with their meaning, and as a JSON Schema. */
import { Argument, Command } from 'commander'
import { DdsasError } from '../errors.ts'
import type { CommonConfig } from '../loop/common-settings.ts'
import { describeSettings, type SettingDescription, settingsJsonSchema } from '../loop/describe-settings.ts'
import { isRunOf, type RunKind, readRecord, requestedConfig } from '../loop/record.ts'
import { flatten } from '../loop/settings.ts'
import { trainPresets } from '../retrain/presets.ts'
import { trainKind } from '../retrain/run.ts'
import { RunFolder } from '../runs/folder.ts'
import { searchPresets } from '../search/presets.ts'
import { searchKind } from '../search/request.ts'
import { configOption, settingOption } from './options.ts'
import { suggestedArgument, suggesting } from './suggestions.ts'

const runKinds = { search: searchKind, train: trainKind } as const
type KindName = keyof typeof runKinds

const kindNames: readonly KindName[] = ['search', 'train']
const presets = [...new Set(Object.keys({ ...searchPresets, ...trainPresets }))]
const usualPreset = 'cifar10'

/** The command. `print` receives what goes to standard output. */
export function configCommand(print: (text: string) => void = (text) => process.stdout.write(text)): Command {
  const config = new Command('config').description('see the settings of a search or a training')
  config
    .command('show')
    .description('print settings as JSON, of a preset or of a run, with what --config and --set change')
    .addArgument(
      suggesting(new Argument('<search|train|run>', 'whose: a command, or a run'), kindNames, true),
    )
    .addArgument(presetArgument())
    .addOption(configOption())
    .addOption(settingOption())
    .action((target: string, preset: string | undefined, options: ShowOptions) =>
      print(`${JSON.stringify(shown(target, preset, options), null, 2)}\n`),
    )
  config
    .command('keys')
    .description('list settings: value in a preset, range, unit and meaning')
    .addArgument(new Argument('[command]', 'whose (default: of both)').choices(kindNames))
    .addArgument(presetArgument())
    .option('--json', 'print them as one JSON array')
    .action((kind: KindName | undefined, preset = usualPreset, { json }: { readonly json?: boolean }) => {
      const lists = (kind ? [kind] : kindNames).map((name) => ({ name, rows: rowsOf(name, preset) }))
      if (json)
        print(
          `${JSON.stringify(lists.flatMap(({ name, rows }) => rows.map((row) => ({ command: name, ...row, default: row.default ?? null }))))}\n`,
        )
      else print(lists.map(({ name, rows }) => `${name}, preset ${preset}\n\n${table(rows)}`).join('\n'))
    })
  config
    .command('schema')
    .description('print the JSON Schema of a file for --config')
    .addArgument(new Argument('[command]', 'whose').choices(kindNames).default('search'))
    .action((kind: KindName) => {
      const schema = settingsJsonSchema(runKinds[kind].schema, `settings of ddsas ${kind}`)
      print(`${JSON.stringify(schema, null, 2)}\n`)
    })
  return config
}

function presetArgument(): Argument {
  return suggestedArgument('[preset]', `one of its presets (default: ${usualPreset})`, presets)
}

interface ShowOptions {
  readonly config?: string
  readonly set: readonly string[]
}

function shown(target: string, preset: string | undefined, options: ShowOptions): object {
  if (target === 'search') return resolved(searchKind, searchKind.preset(preset ?? usualPreset), options)
  if (target === 'train') return resolved(trainKind, trainKind.preset(preset ?? usualPreset), options)
  const run = RunFolder.open(target)
  if (preset !== undefined)
    throw new DdsasError('input', `${target} is a run, with settings of its own: leave ${preset} out`)
  return isRunOf(run, 'train')
    ? resolved(trainKind, readRecord(run, trainKind).config, options)
    : resolved(searchKind, readRecord(run, searchKind).config, options)
}

function resolved<Config extends CommonConfig>(
  kind: RunKind<Config>,
  own: Config,
  { config, set }: ShowOptions,
): Config {
  return requestedConfig(kind, own, { config, settings: set })
}

interface Row extends SettingDescription {
  readonly default: unknown
}

function rowsOf(name: KindName, preset: string): Row[] {
  const { schema, preset: presetOf } = runKinds[name]
  const values = flatten(presetOf(preset))
  return describeSettings(schema).map((setting) => ({ ...setting, default: values.get(setting.key) }))
}

/** One setting a line, so that `grep` finds it whole. */
function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => [row.key, textOf(row.default), row.range, row.unit, row.meaning])
  const all = [['key', 'default', 'range', 'unit', 'meaning'], ...cells]
  const widths = all[0].map((_, column) => Math.max(...all.map((line) => line[column].length)))
  return all
    .map(
      (line) =>
        `${line
          .map((cell, k) => cell.padEnd(widths[k]))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** '-' for what a preset has not: a setting of another strategy. */
function textOf(value: unknown): string {
  if (value === undefined) return '-'
  return typeof value === 'string' ? value : JSON.stringify(value)
}
