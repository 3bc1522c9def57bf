/** `ddsas config`: what it prints of presets, runs, files and schemas, and what it refuses. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { configCommand } from '../../../src/cli/config.ts'
import { describeSettings } from '../../../src/loop/describe-settings.ts'
import { newRecord } from '../../../src/loop/record.ts'
import { flatten } from '../../../src/loop/settings.ts'
import { trainConfigSchema } from '../../../src/retrain/config.ts'
import { trainPreset } from '../../../src/retrain/presets.ts'
import { trainKind } from '../../../src/retrain/run.ts'
import { RunFolder } from '../../../src/runs/folder.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { searchKind } from '../../../src/search/request.ts'
import { type AnyStrategy, strategies } from '../../../src/strategies/index.ts'
import { temporaryFolder } from '../runs/temporary.ts'

async function config(...args: readonly string[]): Promise<string> {
  let printed = ''
  const command = configCommand((text) => {
    printed += text
  })
  command.exitOverride().configureOutput({ outputError: () => {} })
  for (const sub of command.commands) sub.exitOverride().configureOutput({ outputError: () => {} })
  await command.parseAsync(args, { from: 'user' })
  return printed
}

const shown = async (...args: readonly string[]): Promise<unknown> =>
  JSON.parse(await config('show', ...args))

test('show: a preset of each command, with a file and settings in their order', async (t) => {
  assert.deepEqual(await shown('search'), searchPreset('cifar10'))
  assert.deepEqual(await shown('search', 'demo'), searchPreset('demo'))
  assert.deepEqual(await shown('train', 'folder'), trainPreset('folder'))
  const file = join(temporaryFolder(t), 'mine.json')
  writeFileSync(file, '{"seed": 3, "epochs": 4}')
  const changed = await shown('train', '--config', file, '--set', 'epochs=5', '--set', 'loss.smoothing=0.2')
  const { loss, ...own } = trainPreset('cifar10')
  assert.deepEqual(changed, { ...own, seed: 3, epochs: 5, loss: { ...loss, smoothing: 0.2 } })
})

test('show: a run, with what is changed of it; what it prints is a file for --config', async (t) => {
  const data = { directory: 'data', fingerprint: '0' }
  const record = newRecord(trainKind, 'imagenet', trainPreset('imagenet'), 'cpu', data)
  const training = RunFolder.create(join(temporaryFolder(t), 'trained'), record)
  assert.deepEqual(await shown(training.path), trainPreset('imagenet'))
  const own = newRecord(searchKind, 'demo', searchPreset('demo'), 'cpu', data)
  const { path } = RunFolder.create(join(temporaryFolder(t), 'searched'), own)
  const text = await config('show', path, '--set', 'seed=8')
  assert.deepEqual(JSON.parse(text), { ...searchPreset('demo'), seed: 8 })
  const file = join(temporaryFolder(t), 'printed.json')
  writeFileSync(file, text)
  assert.equal(await config('show', 'search', '--config', file), text)
  await assert.rejects(config('show', path, 'demo'), /is a run, with settings of its own: leave demo out/)
})

test('show: what cannot be is refused', async () => {
  await assert.rejects(
    config('show', 'search', 'elsewhere'),
    /no preset 'elsewhere'; known are cifar10, cifar100, .*demo/,
  )
  await assert.rejects(config('show', 'searhc'), /searhc does not exist; name the folder of a run/)
  await assert.rejects(config('show', 'search', '--set', 'sed=1'), /no setting 'sed'; the nearest is 'seed'/)
  await assert.rejects(config('show'), /missing required argument/)
})

/** What only other strategies have than the one of the preset. */
const ofOthers = new Set(
  Object.values<AnyStrategy>(strategies)
    .flatMap(({ settings }) => Object.keys(settings))
    .filter((key) => !Object.hasOwn(searchPreset('cifar10'), key)),
)

test('keys: a line for each setting, in columns that begin where their heads do', async () => {
  for (const name of ['search', 'train'] as const) {
    const [title, empty, head, ...lines] = (await config('keys', name)).trimEnd().split('\n')
    assert.deepEqual([title, empty], [`${name}, preset cifar10`, ''])
    const preset = name === 'search' ? searchPreset('cifar10') : trainPreset('cifar10')
    const keys = lines.map((line) => line.split(' ')[0])
    const own = keys.filter((key) => !ofOthers.has(key.split('.')[0]))
    assert.deepEqual(own.sort(), [...flatten(preset).keys()].sort())
    for (const line of lines) if (!own.includes(line.split(' ')[0])) assert.match(line, /^\w+\.\w+ +- /)
    const starts = ['default', 'range', 'unit', 'meaning'].map((word) => head.indexOf(word))
    for (const line of lines)
      for (const start of starts) assert.equal(line.slice(start - 2, start), '  ', line)
  }
  assert.match(await config('keys', 'train'), /^data\.imageSize +32 +1 … 4096 +px +height and width of the/m)
  assert.match(await config('keys', 'train', 'imagenet'), /^data\.imageSize +224 /m)
  assert.match(
    await config('keys', 'search'),
    /^device +auto +auto \| cpu \| cuda \| cuda:1 +where to compute/m,
  )
})

test('keys: of both commands, and as JSON', async () => {
  assert.match(await config('keys'), /^search, preset cifar10\n[\s\S]+\n\ntrain, preset cifar10\n/)
  const row = z.strictObject({
    command: z.enum(['search', 'train']),
    key: z.string(),
    default: z.unknown(),
    range: z.string(),
    unit: z.string(),
    meaning: z.string(),
  })
  const rows = z.array(row).parse(JSON.parse(await config('keys', 'train', 'folder', '--json')))
  assert.deepEqual(new Map(rows.map((one) => [one.key, one.default])), flatten(trainPreset('folder')))
  assert.deepEqual(
    rows.map(({ key, meaning, unit, range }) => ({ key, meaning, unit, range })),
    describeSettings(trainConfigSchema),
  )
  const both = z.array(row).parse(JSON.parse(await config('keys', '--json')))
  assert.deepEqual(new Set(both.map(({ command }) => command)), new Set(['search', 'train']))
  await assert.rejects(config('keys', 'demo'), /Allowed choices are search, train/)
  await assert.rejects(config('keys', 'search', 'elsewhere'), /no preset 'elsewhere'/)
})

test('schema: of each command', async () => {
  const properties = z.object({ properties: z.record(z.string(), z.looseObject({})) })
  const schema = properties.extend({ title: z.string() })
  const search = z
    .object({ title: z.string(), anyOf: z.array(properties) })
    .parse(JSON.parse(await config('schema')))
  const train = schema.parse(JSON.parse(await config('schema', 'train')))
  assert.deepEqual([search.title, train.title], ['settings of ddsas search', 'settings of ddsas train'])
  assert.deepEqual(Object.keys(train.properties), Object.keys(trainPreset('cifar10')))
  const [ddsas] = search.anyOf
  assert.deepEqual(Object.keys(ddsas.properties).sort(), Object.keys(searchPreset('cifar10')).sort())
})
