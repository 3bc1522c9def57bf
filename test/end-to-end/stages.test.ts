/** Searches in stages: another supernet, its weights carried over, or other batches from an epoch on; and stopped, they go on exactly. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { RunFolder } from '../../src/runs/folder.ts'
import { runSearch } from '../../src/search/run.ts'
import { decodeSafetensors, tidy } from '../../src/torch/index.ts'
import { workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
before(() => writeImages(data, 16))
after(place.remove)

const small = [
  'network.channels=4',
  'network.cells=3',
  'data.images=48',
  'data.batch=8',
  'evaluation.images=8',
  'evaluation.batch=8',
  'threads=1',
]

/** Of the last checkpoint: the shapes of its weights. */
const shapesOf = (run: RunFolder) =>
  tidy(() => {
    const bytes = run.loadCheckpoint()?.files.get('weights.safetensors') ?? Buffer.alloc(0)
    const { tensors } = decodeSafetensors(bytes, 'weights')
    return new Map([...tensors].map(([name, { shape }]) => [name, shape]))
  })

const cellsOf = (run: RunFolder) =>
  new Set([...shapesOf(run).keys()].flatMap((name) => /^cells\.\d+/.exec(name) ?? [])).size
const seenBy = (run: RunFolder) => shapesOf(run).get('cells.0.edges.1<-0.3.op.1.weight')?.[0]

interface Case {
  readonly strategy: string
  readonly settings: readonly string[]
  /** Of each of two epochs: images of its steps, cells (two more are residual blocks), and channels that a candidate sees of four. */
  readonly first: readonly [images: number[], cells: number, seen: number]
  readonly second: readonly [images: number[], cells: number, seen: number]
}

const cases: readonly Case[] = [
  {
    strategy: 'p-darts',
    settings: [
      'pDarts.moreCells=[0,3]',
      'pDarts.candidates=[4,2]',
      'pDarts.dropout=[0.3,0.5]',
      'pDarts.warmUp=0',
    ],
    first: [[8, 8, 8], 5, 4],
    second: [[8, 8, 8], 8, 4],
  },
  {
    strategy: 'drnas',
    settings: ['network.partialChannels=4', 'drnas.pruneAt=0.5', 'drnas.keep=2', 'drnas.widenTo=2'],
    first: [[8, 8, 8], 5, 1],
    second: [[8, 8, 8], 5, 2],
  },
  {
    strategy: 'sgas',
    settings: ['sgas.warmUp=0', 'sgas.interval=0.5', 'sgas.batchIncrease=8'],
    first: [[8, 8, 8], 5, 4],
    second: [[16, 8], 5, 4],
  },
]

for (const { strategy, settings, first, second } of cases)
  test(`${strategy}: the second stage is another, and a search stopped before it, where it begins and in it goes on exactly`, async () => {
    const request = {
      preset: 'demo',
      space: 'nasbench201',
      strategy,
      settings: [...small, ...settings],
      epochs: 2,
      data,
    }
    const images: number[] = []
    const { run } = await runSearch(
      { ...request, out: join(place.path, strategy) },
      { step: (report) => images.push(report.images) },
    )
    assert.deepEqual(images, [...first[0], ...second[0]])
    assert.deepEqual([cellsOf(run), seenBy(run)], second.slice(1))
    const out = join(place.path, `${strategy} stopped`)
    for (const stop of [2, 3, 4]) {
      const signal = { aborted: false }
      const step = ({ globalStep }: { readonly globalStep: number }) => {
        signal.aborted = globalStep === stop
      }
      const how = stop === 2 ? { ...request, out } : { resume: out, data }
      await assert.rejects(runSearch({ ...how, signal }, { step }), { kind: 'interrupted' })
      const expected = stop < 4 ? first : second
      assert.deepEqual([cellsOf(RunFolder.open(out)), seenBy(RunFolder.open(out))], expected.slice(1))
    }
    await runSearch({ resume: out, data })
    assertSameRun(out, run.path)
  })
