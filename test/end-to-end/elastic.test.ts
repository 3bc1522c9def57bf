/** A search whose space changes: it says when and how, and its cell holds only what is left; what cannot be is refused. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { parseGenotype } from '../../src/spaces/darts/genotype-file.ts'
import { darts } from '../../src/spaces/darts/space.ts'
import { refuse, set, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { checkpointOf, metricsOf } from './runs.ts'

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
    [[shrink(1, 20), expand(0, 0, 5)], [], undefined],
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
    [shrink(3, 20), /shrink at epoch 3 comes after the last: .*the last of 3 is 2/],
    [expand(0, 0, 1), /expand at epoch 0 leaves edges with none alone/],
    [expand(1, 5, 9), /expand at epoch 1 has columns 5 to 9 \(exclusive\): .*7 dil_conv_5x5/],
  ]
  for (const [change, pattern] of refused) {
    const { run, args } = searching('refused', [change])
    await refuse(args, 2, [pattern])
    assert.ok(!existsSync(run))
  }
})
