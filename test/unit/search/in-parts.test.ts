/** Searches whose batches are computed in parts, and supernets that begin as ImageNet's. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { describeStart } from '../../../src/cli/search-text.ts'
import { batchGradients } from '../../../src/nn/index.ts'
import { applySettings, partsOf, type SearchConfig, withParts } from '../../../src/search/config.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { requestedSearch } from '../../../src/search/request.ts'
import { runSearch } from '../../../src/search/run.ts'
import { searchStep } from '../../../src/search/search.ts'
import { restoreSession } from '../../../src/search/session.ts'
import { type AnyStrategy, strategies } from '../../../src/strategies/index.ts'
import {
  adopt,
  crossEntropy,
  resetPeakMemory,
  setThreads,
  tensorMemory,
  tidy,
} from '../../../src/torch/index.ts'
import { writeImages } from '../../end-to-end/images.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'
import { filesOf, withSession } from './pairs.ts'

setThreads(1)

const inParts = (config: SearchConfig): SearchConfig => ({
  ...config,
  data: { ...config.data, microBatch: 3 },
  network: { ...config.network, stem: 'imagenet' },
  weightOptimizer: { ...config.weightOptimizer, clipArch: true },
  ...(config.archOptimizer ? { archOptimizer: { ...config.archOptimizer, gradClip: 0.001 } } : {}),
})

const { space } = partsOf(searchPreset('demo'))

for (const strategy of Object.values<AnyStrategy>(strategies))
  test(`darts by ${strategy.name}, in parts, with ImageNet's stem: finite, and resumed to the bit`, () =>
    withSession(
      { space, strategy },
      async (whole) => {
        for (let step = 0; step < 2; step++) await searchStep(whole, 0.02)
        const saved = filesOf(whole)
        const goOn = async () => {
          const { train, valid, gradNorm } = await searchStep(whole, 0.02)
          for (const value of [train.loss, valid?.loss ?? 0, gradNorm]) assert.ok(Number.isFinite(value))
          assert.ok(train.accuracy >= 0 && train.accuracy <= 1)
        }
        await withSession(
          { space, strategy },
          async (resumed) => {
            restoreSession(resumed, saved)
            assert.deepEqual(filesOf(resumed), saved)
            await searchStep(resumed, 0.02)
            await goOn()
            assert.deepEqual(filesOf(resumed), filesOf(whole))
          },
          inParts,
        )
      },
      inParts,
    ))

test('a step in parts reports the mean over its images, and takes less memory', () =>
  withSession(partsOf(searchPreset('demo')), async (session) => {
    const { supernet, strategy, streams } = session
    const peak = async (microBatch: number) => {
      session.config.data.microBatch = microBatch
      resetPeakMemory()
      const before = tensorMemory().live
      await searchStep(session, 0)
      return tensorMemory().peak - before
    }
    const weights = [...session.optimizer.parameters.values()]
    const batch = await streams.train.next()
    tidy(() => {
      adopt(batch.images)
      adopt(batch.labels)
      const losses: number[] = []
      strategy.prepareStep(session.progress)
      const { outcome } = batchGradients(weights, batch, 3, ({ images, labels }) => {
        const archWeights = (group: string) => strategy.archWeights(group, 'train')
        const { logits } = supernet.forward(images, { training: true, archWeights })
        const loss = crossEntropy(logits, labels)
        losses.push(loss.item() * labels.size)
        return { logits, loss }
      })
      const mean = losses.reduce((sum, loss) => sum + loss, 0) / batch.labels.size
      assert.equal(losses.length, 3)
      assert.ok(Math.abs(outcome.loss.item() / mean - 1) < 1e-6)
    })
    await peak(0)
    const [whole, parts] = [await peak(0), await peak(2)]
    assert.ok(parts < 0.75 * whole, `${parts} of ${whole} bytes`)
  }))

test('gradients of alpha and zeta count in the norm where that is asked for, and the weights move less', () =>
  withSession(partsOf(searchPreset('demo')), async (without) => {
    const plain = (await searchStep(without, 0.02)).gradNorm
    await withSession(
      partsOf(searchPreset('demo')),
      async (session) => {
        const joint = (await searchStep(session, 0.02)).gradNorm
        assert.ok(joint > plain && joint < 1.5 * plain, `${joint}, ${plain} without`)
      },
      (config) => ({ ...config, weightOptimizer: { ...config.weightOptimizer, clipArch: true } }),
    )
  }))

test('a warm-up as long as the search, parts of batches and the stem are said when a search begins', async (t) => {
  const folder = temporaryFolder(t)
  const lines: string[] = []
  const data = join(folder, 'data')
  writeImages(data)
  await runSearch(
    {
      ...{ preset: 'demo', data, out: join(folder, 'run') },
      settings: [
        ...[
          'epochs=1',
          'threads=1',
          'network.stem=imagenet',
          'network.channels=4',
          'network.cells=3',
          'data.batch=16',
        ],
        ...['data.microBatch=8', 'weightOptimizer.warmUp=1', 'evaluation.images=8', 'data.images=100'],
      ],
    },
    { start: (about) => lines.push(...describeStart(about, false)) },
  )
  assert.ok(
    lines.includes('3 cells of 4 channels, stem imagenet, L = 28, M = 10, variant authors-code, seed 0'),
  )
  assert.ok(lines.includes('batches of 16 by at most 8 images, which batch norms see alone'))
  assert.ok(
    lines.some((line) => /^warning: the learning rate rises over weightOptimizer\.warmUp = 1/.test(line)),
  )
})

test('spaces without such a stem refuse it, and another space takes its own', () => {
  assertRefuses(
    () => requestedSearch({ preset: 'nasbench201', settings: ['network.stem=imagenet'] }),
    'input',
    /^supernets of the space 'nasbench201' do not begin as 'imagenet': set network\.stem to cifar$/,
  )
  assertRefuses(
    () => requestedSearch({ preset: 'demo', settings: ['network.stem=large'] }),
    'input',
    /network\.stem/,
  )
  const large = applySettings(searchPreset('demo'), ['network.stem=imagenet'])
  const { strategy } = partsOf(large)
  assert.equal(
    withParts(large, { space: partsOf(searchPreset('nasbench201')).space, strategy }).network.stem,
    'cifar',
  )
  assert.equal(withParts(large, partsOf({ space: 'darts', strategy: 'random' })).network.stem, 'imagenet')
})

test('the settings of the search on ImageNet fit its space', () => {
  const imagenet = searchPreset('imagenet')
  const { strategy } = partsOf(imagenet)
  strategy.check?.(imagenet, space, imagenet.epochs)
  assert.deepEqual(applySettings(imagenet, []), imagenet)
})
