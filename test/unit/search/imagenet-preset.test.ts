/** The search of the preset `imagenet`, shortened, on a folder of photographs. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { EpochReport, StepReport } from '../../../src/search/report.ts'
import { runSearch } from '../../../src/search/run.ts'
import { skipWithout } from '../../needs.ts'
import { shared } from '../../parity/fixtures.ts'
import { temporaryFolder } from '../runs/temporary.ts'

const photographs = join(shared, 'data/imagefolder')
const skip = skipWithout('shared', existsSync(photographs), `no photographs at ${photographs}`)

const changes = [
  { epoch: 0, change: { kind: 'only', operations: ['sep_conv_3x3', 'dil_conv_3x3', 'sep_conv_5x5'] } },
  { epoch: 1, change: { kind: 'expand', operations: ['none', 'skip_connect'] } },
]

test('two epochs of the preset imagenet, with small images in parts', { skip }, async (t) => {
  const [steps, epochs]: [StepReport[], EpochReport[]] = [[], []]
  const { architecture, space } = await runSearch(
    {
      ...{ preset: 'imagenet', data: photographs, out: join(temporaryFolder(t), 'run') },
      settings: [
        ...['epochs=2', 'threads=1', 'network.channels=4', 'network.cells=3', 'data.imageSize=64'],
        ...['data.batch=8', 'data.microBatch=4', 'data.trainFraction=0.2', 'data.validFraction=0.2'],
        ...['weightOptimizer.warmUp=1', 'ddsas.window=2', `ddsas.changes=${JSON.stringify(changes)}`],
      ],
    },
    { step: (report) => steps.push(report), epoch: (report) => epochs.push(report) },
  )
  assert.deepEqual(
    epochs.map(({ lr }) => lr),
    [0.5, 0],
    'the warm-up, then the rate of the epoch after the last',
  )
  assert.ok(steps.length >= 4 && steps.every(({ train, gradNorm }) => Number.isFinite(train.loss + gradNorm)))
  const text = space.format(architecture)
  assert.match(text, /sep_conv|dil_conv/)
  assert.doesNotMatch(text, /pool|dil_conv_5x5|none/)
})
