/** What is refused when a run is to go on: other settings, other data, spoiled files, a run that is held. */
import assert from 'node:assert/strict'
import { cpSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { RunFolder } from '../../src/runs/folder.ts'
import { refuse, startHeld, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun, digestsBelow, metricsOf, sha256 } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const stopped = join(place.path, 'stopped')
const reference = join(place.path, 'reference')
const settings = [...tiny, '--set', 'checkpoint.steps=2', '--epochs', '2', '--json']

let earlier = 0
let later = 0

/** A run that was killed in the first epoch, and the same one finished. */
before(async () => {
  writeImages(data, 16)
  const args = ['search', 'cifar10', '--data', data, '--out', stopped, ...settings]
  const { child, ended } = await startHeld(args, /"kind":"step"/, 4)
  child.kill('SIGKILL')
  await ended
  rmSync(join(stopped, 'lock'))
  const steps = RunFolder.open(stopped).checkpointSteps()
  earlier = steps[0] ?? 0
  later = steps[1] ?? 0
  assert.ok(earlier < later)
  cpSync(stopped, reference, { recursive: true })
  await succeed(['search', '--resume', reference, '--json'])
})
after(place.remove)

/** A copy of the stopped run to spoil. */
function copy(name: string): string {
  const path = join(place.path, name)
  cpSync(stopped, path, { recursive: true })
  return path
}

async function refuseAndKeep(run: string, args: readonly string[], ...patterns: RegExp[]): Promise<void> {
  const found = digestsBelow(run)
  await refuse(['search', '--resume', run, ...args], 2, patterns)
  assert.deepEqual(digestsBelow(run), found)
}

test('another seed, preset or setting, a run folder, a checkpoint that is not there', async () => {
  const remedy = /; resume without it, or begin a new run with another --out/
  await refuseAndKeep(stopped, ['--seed', '7'], /seed is 0 in the run, not 7/, remedy)
  await refuseAndKeep(
    stopped,
    ['--set', 'ddsas.subspace=20'],
    /ddsas\.subspace is 28 in the run, not 20/,
    remedy,
  )
  await refuseAndKeep(stopped, ['--epochs', '9'], /epochs is 2 in the run, not 9/, remedy)
  const presets = ['search', 'cifar100', '--resume', stopped]
  await refuse(presets, 2, [/dataset is "cifar10" in the run, not "cifar100"/, remedy])
  await refuseAndKeep(stopped, ['--set', 'x=1'], /--set: there is no setting 'x'/)
  await refuseAndKeep(
    stopped,
    ['--out', 'elsewhere'],
    /--out elsewhere cannot be used with --resume: leave it out/,
  )
  await refuseAndKeep(
    stopped,
    ['--checkpoint', '3'],
    new RegExp(`no checkpoint 3 in .*: choose --checkpoint ${earlier} or ${later}`),
  )
})

test('other images, or none', async () => {
  const other = writeImages(join(place.path, 'other'), 16, 1)
  await refuseAndKeep(
    stopped,
    ['--data', other],
    new RegExp(`the images in ${other} are not those of the run, read from ${data}: name those with --data`),
  )
  await refuseAndKeep(
    stopped,
    ['--data', join(place.path, 'none')],
    /there is no folder .*none: .*data fetch cifar10/,
  )
})

test('a spoiled checkpoint is named, the one before is offered, and with it the search goes on', async () => {
  const spoils: readonly (readonly [string, (place: string) => void, RegExp])[] = [
    ['flipped', (place) => flip(join(place, 'weights.safetensors')), /weights\.safetensors has sha256/],
    [
      'half',
      (place) => truncateSync(join(place, 'strategy.safetensors'), 1000),
      /strategy\.safetensors has 1000 bytes/,
    ],
    ['bare', (place) => rmSync(join(place, 'manifest.json')), /manifest\.json is missing/],
  ]
  for (const [name, spoil, what] of spoils) {
    const run = copy(name)
    const corrupt = new RegExp(
      `checkpoint ${later} in .* is corrupt: .*take the previous one with --checkpoint ${earlier}`,
    )
    spoil(join(run, `checkpoints/0000000${later}`))
    await refuseAndKeep(run, [], corrupt, what)
    if (name === 'flipped') await succeed(['search', '--resume', run, '--checkpoint', `${earlier}`, '--json'])
    if (name === 'flipped') assertSameRun(run, reference)
  }
})

function flip(path: string): void {
  const bytes = readFileSync(path)
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

/** Changes a file of a checkpoint and its manifest with it, as no disk error would. */
function forge(run: string, name: string, change: (text: string) => string): void {
  const folder = join(run, `checkpoints/0000000${later}`)
  const bytes = Buffer.from(change(readFileSync(join(folder, name), 'utf8')))
  writeFileSync(join(folder, name), bytes)
  const manifest = z
    .looseObject({ files: z.record(z.string(), z.object({ size: z.number(), sha256: z.string() })) })
    .parse(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')))
  manifest.files[name] = { size: bytes.length, sha256: sha256(bytes) }
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest))
}

test('a checkpoint that is whole but says what cannot be', async () => {
  const run = copy('forged')
  forge(run, 'state.json', () => '{')
  await refuseAndKeep(run, [], /state\.json of the checkpoint is malformed; resume from another one/)
  forge(run, 'state.json', () => '{"config":{}}')
  await refuseAndKeep(run, [], /state\.json of the checkpoint is malformed at config\.strategy; resume from/)
  const other = copy('strategy')
  forge(other, 'state.json', (text) => text.replace('"adamSteps"', '"steps"'))
  await refuseAndKeep(other, [], /the state of the strategy is malformed/)
})

test('a config.json that was changed, in a way that can be or cannot', async () => {
  const changes: readonly (readonly [from: string | RegExp, to: string, pattern: RegExp])[] = [
    [
      '"seed": 0',
      '"seed": 5',
      /the checkpoint is of another search: seed is 0 in the checkpoint, not 5; put config\.json back/,
    ],
    [
      '"momentum": 0.9',
      '"momentum": "0.9"',
      /config\.json of .*: weightOptimizer\.momentum: expected number, received string/,
    ],
    [
      '"gradClip": 5',
      '"gradClip": 5, "gradClap": 6',
      /config\.json of .*: weightOptimizer\.gradClap: there is no such setting/,
    ],
    ['"kind": "search"', '"kind": "retrain"', /is not the run of a search: 'kind' of its config\.json/],
    [/[\s\S]*/, '{"seed": ', /config\.json is not valid JSON; restore it/],
    [/[\s\S]*/, '[]', /config\.json is not a JSON object/],
  ]
  const run = copy('changed')
  const path = join(run, 'config.json')
  const text = readFileSync(path, 'utf8')
  for (const [from, to, pattern] of changes) {
    const changed = text.replace(from, to)
    assert.notEqual(changed, text)
    writeFileSync(path, changed)
    await refuseAndKeep(run, [], pattern)
  }
})

test('metrics that were lost or shortened are no reason to lose the run: new ones begin, and it says so', async () => {
  for (const [name, damage] of [
    ['lost', (path: string) => rmSync(path)],
    ['short', (path: string) => writeFileSync(path, '{"kind":"step"}\n')],
  ] as const) {
    const run = copy(name)
    const whole = metricsOf(run)
    damage(join(run, 'metrics.jsonl'))
    const printed = await succeed(['search', '--resume', run, '--json'])
    const { done, warnings } = JSON.parse(printed.slice(0, printed.indexOf('\n')))
    assert.match(
      warnings.join(),
      /^metrics\.jsonl had \d+ bytes, the checkpoint knows \d+: a new one begins here/,
    )
    assert.deepEqual(existsSync(join(run, 'metrics.jsonl.lost')), name === 'short')
    const after = metricsOf(run)
    assert.ok(after.every(({ globalStep }) => typeof globalStep === 'number' && globalStep >= done))
    assert.ok(whole.length > 0 && after.length > 0)
    // what it goes on to write is known to its next checkpoint
    await succeed(['search', '--resume', run])
  }
})

test('a run locked by another host is refused with the way to take it over, which works', async () => {
  const run = copy('elsewhere')
  writeFileSync(join(run, 'lock'), JSON.stringify({ pid: 4711, host: 'another-host', started: '1' }))
  await refuse(['search', '--resume', run], 2, [
    /held by process 4711 of the host another-host: .*add --take-over\n$/,
  ])
  await succeed(['search', '--resume', run, '--take-over'])
  assert.equal(existsSync(join(run, 'lock')), false)
})

test('a run that another process holds; once that is gone it goes on, also with other threads', async () => {
  const run = copy('held')
  const args = ['search', '--resume', run, '--threads', '2', '--set', 'checkpoint.steps=3', '--json']
  const holder = await startHeld(args, /"kind":"start"/)
  const { notes } = JSON.parse(holder.held)
  assert.deepEqual(notes, ['threads is 2, the run began with 1'])
  await refuse(['search', '--resume', run], 2, [
    new RegExp(`lock is held by process ${holder.child.pid}: wait until it ends`),
  ])
  holder.child.kill('SIGKILL')
  await holder.ended
  const printed = await succeed(['search', 'cifar10', '--resume', run, ...tiny, '--epochs', '2'])
  assert.match(printed, /^resuming after step \d+$/m)
  assert.equal(metricsOf(run).length, 12)
})
