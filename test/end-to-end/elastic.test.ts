/** A search whose space changes: it says when and how, and its cell holds only what is left; what cannot be is refused. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { RunControl } from '../../src/runs/control.ts'
import { RunFolder } from '../../src/runs/folder.ts'
import { runSearch } from '../../src/search/run.ts'
import { parseGenotype } from '../../src/spaces/darts/genotype-file.ts'
import { darts } from '../../src/spaces/darts/space.ts'
import { refuse, set, startHeld, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun, checkpointOf, metricsOf } from './runs.ts'

const operations = Object.keys(darts.operations)
const place = workplace()
const data = join(place.path, 'data')
before(() => {
  writeImages(data, 16)
})
after(place.remove)

type Change = Readonly<Record<string, unknown>>

/** The command of a search of three epochs of 5 steps with these changes. */
function searching(name: string, changes: readonly Change[], ...more: readonly string[]) {
  const run = join(place.path, name)
  const schedule = set(`ddsas.changes=${JSON.stringify(changes)}`, ...more)
  return {
    run,
    args: ['search', 'cifar10', '--data', data, '--out', run, ...tiny, ...schedule, '--epochs', '3'],
  }
}

const shrink = (epoch: number, count: number) => ({ epoch, change: { kind: 'shrink', count } })
const expand = (epoch: number, from: number, to: number) => ({ epoch, change: { kind: 'expand', from, to } })

const memory = z.object({ available: z.array(z.array(z.boolean())) })
const stateSchema = z.looseObject({
  strategy: z.looseObject({ groups: z.object({ normal: memory, reduce: memory }) }),
})

for (const variant of ['authors-code', 'paper'])
  test(`${variant}: a shrink and an expansion are told, counted, and kept to`, async () => {
    const changes = [expand(0, 0, 5), shrink(1, 20), expand(2, 6, 8)]
    const { run, args } = searching(variant, changes, `ddsas.variant=${variant}`)
    const printed = await succeed(args)
    const pattern =
      /^space from epoch (\d+) on:\n {2}normal: (\d+) [^:]*\n {2}reduce: (\d+) .*(?:\n {4}.*)*/gm
    const told = [...printed.matchAll(pattern)]
    assert.deepEqual(
      told.map(([, ...found]) => found),
      [
        ['1', '70', '70'],
        ['2', '50', '50'],
        ['3', '78', '78'],
      ],
    )
    assert.match(
      told[0][0],
      /normal: 70 operations left, -14 sep_conv_5x5,\s+-14 dil_conv_3x3,\s+-14 dil_conv_5x5\n/,
    )
    assert.match(told[2][0], /reduce: 78 operations left, \+14 dil_conv_3x3, \+14 dil_conv_5x5$/)
    for (const [text] of told) for (const line of text.split('\n')) assert.ok(line.length <= 80, line)
    const written = metricsOf(run).filter(({ kind }) => kind === 'space')
    assert.deepEqual(
      written.map(({ epoch, globalStep }) => [epoch, globalStep]),
      [
        [0, 0],
        [1, 5],
        [2, 10],
      ],
    )
    const state = stateSchema.parse(JSON.parse(checkpointOf(run).files.get('state.json') ?? ''))
    const genotype = parseGenotype(JSON.parse(readFileSync(join(run, 'genotype.json'), 'utf8')), run)
    for (const cell of ['normal', 'reduce'] as const)
      for (const [i, [name, input]] of genotype[cell].entries()) {
        const node = Math.floor(i / 2)
        const row = state.strategy.groups[cell].available[(node * (node + 3)) / 2 + input]
        assert.ok(row[operations.indexOf(name)], `${cell} ${name}`)
      }
  })

test('a shrink before anything was credited is warned of, others are not', async () => {
  const warned: readonly (readonly [Change[], string[], RegExp | undefined])[] = [
    [
      [shrink(0, 20)],
      [],
      /the shrink at epoch 0 comes before a window is credited.* step 3 .* shrink from epoch 1 on$/,
    ],
    [
      [shrink(1, 20)],
      ['ddsas.window=6'],
      /the shrink at epoch 1 .* step 5 \(M = 6\).* epoch 2 on, or lower ddsas\.window$/,
    ],
    [[expand(0, 0, 5), shrink(1, 20)], [], undefined],
  ]
  for (const [i, [changes, settings, pattern]] of warned.entries()) {
    const printed = await succeed(searching(`warned ${i}`, changes, ...settings).args)
    const warnings = printed.split('\n').filter((line) => /^warning: .*shrink/.test(line))
    assert.equal(warnings.length, pattern ? 1 : 0)
    if (pattern) assert.match(warnings[0], pattern)
  }
})

test('a schedule that cannot be followed is refused before anything is written', async () => {
  const refused: readonly (readonly [Change, RegExp])[] = [
    [
      { epoch: 0, change: { kind: 'only', operations: ['none', 'sep_conv_3x3'] } },
      /only at epoch 0 leaves 'normal' 14 operations, fewer than L = 28: name more/,
    ],
    [{ epoch: 1, change: { kind: 'grow', count: 1 } }, /ddsas\.changes\.0\.change: write {"kind": "shrink"/],
    [
      { epoch: 1, change: { kind: 'expand', operations: ['conv'] } },
      /expand at epoch 1: there is no operation 'conv'.*known are none, max_pool_3x3/,
    ],
    [shrink(3, 20), /shrink at epoch 3 comes after the last: .*the last of 3 is 2/],
    [expand(0, 0, 1), /expand at epoch 0 leaves edges with none alone/],
    [expand(1, 5, 9), /expand at epoch 1 has columns 5 to 9 \(exclusive\): .*7 dil_conv_5x5/],
  ]
  for (const [change, pattern] of refused) {
    const { run, args } = searching('refused', [change])
    await refuse(args, 2, [pattern])
    assert.ok(!existsSync(run))
  }
  const order = searching('refused', [shrink(2, 1), shrink(1, 1)])
  await refuse(order.args, 2, [/shrink at epoch 1 stands behind one of epoch 2/])
})

test('changed by hand, killed and resumed from before, a search ends as one that was changed at the same step', async () => {
  const steps = [...tiny, ...set('checkpoint.steps=1', 'evaluation.batch=4'), '--epochs', '3']
  const killed = join(place.path, 'by hand')
  const args = ['search', 'cifar10', '--data', data, '--out', killed, ...steps, '--json']
  const running = await startHeld(args, /"kind":"step"/, 1)
  const asked = JSON.parse(await succeed(['control', killed, 'close', 'none', 'dil_conv_5x5', '--json']))
  running.release()
  assert.deepEqual(
    [asked.kind, asked.running, asked.groups.normal.deleted],
    ['control', true, { none: 14, dil_conv_5x5: 14 }],
  )
  const changed = JSON.parse(await running.line(/"kind":"space"/))
  running.child.kill('SIGKILL')
  await running.ended
  // waits until the run goes on
  const printed = await succeed(['control', killed, 'shrink', '14'])
  assert.match(printed, /^asked for: shrink 14; no search runs there; it waits .*search --resume .*by hand/)
  assert.match(printed, /normal: 70 operations left/)
  const [earliest] = RunFolder.open(killed).checkpointSteps()
  assert.ok(earliest !== undefined)
  const resumed = await succeed(['search', '--resume', killed, '--checkpoint', String(earliest)])
  assert.match(resumed, /by hand: shrink 14\n {2}normal: 70 operations left/)

  const made = new RunControl(killed).records()
  assert.equal(made[0]?.globalStep, changed.globalStep)
  assert.equal(made.length, 2)
  const uninterrupted = join(place.path, 'by hand, uninterrupted')
  await runSearch(
    {
      ...{ preset: 'cifar10', data, out: uninterrupted, epochs: 3 },
      settings: steps.filter((word) => word.includes('=')),
    },
    {
      step: ({ globalStep }) => {
        for (const { globalStep: taken, change } of made)
          if (taken === globalStep) new RunControl(uninterrupted).ask(Object(change))
      },
    },
  )
  for (const cell of ['normal', 'reduce'])
    for (const ending of ['svg', 'png']) rmSync(join(killed, 'cells', `${cell}.${ending}`))
  assertSameRun(killed, uninterrupted)
})

test('what cannot be asked for is refused with exit code 2', async () => {
  const run = join(place.path, 'authors-code')
  const refused: readonly (readonly [string[], RegExp])[] = [
    [[join(place.path, 'nowhere'), 'shrink', '1'], /nowhere does not exist; name the folder of a run/],
    [[run, 'shrink', '1'], /shrink 1: the search in .* has ended after 3 epochs/],
    [[run, 'shrink', 'all'], /shrink takes how many operations go.*not 'all'/],
    [[run, 'shrink', '1', '2'], /not '1 2'/],
    [[run, 'grow', '1'], /'grow' is invalid.*shrink, expand, close, only/],
    [[run, 'expand'], /missing required argument 'what'/],
    [[data, 'shrink', '1'], /is not a run: it has no config.json/],
  ]
  for (const [words, pattern] of refused) await refuse(['control', ...words], 2, [pattern])
  await refuse(['control', run, 'shrink', '1', '--json'], 2, [/has ended/])
})
