/** Searches that end with a ranking: how long they are, when they rank, and a stop in the middle of it. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { RunFolder } from '../../../src/runs/folder.ts'
import { withParts } from '../../../src/search/config.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { requestedSearch } from '../../../src/search/request.ts'
import { runSearch } from '../../../src/search/run.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { workplace } from '../../end-to-end/command.ts'
import { writeImages } from '../../end-to-end/images.ts'
import { assertSameRun } from '../../end-to-end/runs.ts'

const place = workplace()
const data = join(place.path, 'data')
before(() => writeImages(data, 16))
after(place.remove)

const settings = [
  ...['network.channels=4', 'network.cells=3', 'data.images=48', 'data.batch=8', 'threads=1'],
  ...['evaluation.images=16', 'evaluation.batch=8', 'rsps.samples=4', 'rsps.images=8', 'rsps.finalists=2'],
  'rsps.epochSamples=1',
]

/** What was told of the work at epochs' ends; stopped where so much was. */
async function followed(request: object, stopAt?: number): Promise<string[]> {
  const signal = { aborted: false }
  const told: string[] = []
  const searching = runSearch(
    { data, ...request, signal },
    {
      work: (what, done, total) => {
        told.push(`${what} ${done}/${total}`)
        signal.aborted = told.length === stopAt
      },
    },
  )
  if (stopAt === undefined) await searching
  else await assert.rejects(searching, { kind: 'interrupted' })
  return told
}

test('few are ranked after each epoch, many in the end; stopped amid those, it goes on to the same architecture', async () => {
  const begin = (name: string) => ({
    ...{ preset: 'demo', space: 'nasbench201', strategy: 'rsps', settings, epochs: 2 },
    out: join(place.path, name),
  })
  const whole = begin('whole')
  const all = ['ranking 1/1', ...[1, 2, 3, 4, 5, 6].map((done) => `ranking ${done}/6`)]
  assert.deepEqual(await followed(whole), all)
  const stopped = begin('stopped')
  assert.deepEqual(await followed(stopped, 4), all.slice(0, 4))
  // those that were measured before are told again
  assert.deepEqual(await followed({ resume: stopped.out }), all.slice(1))
  assertSameRun(stopped.out, whole.out)
  const epochs = RunFolder.open(whole.out)
    .readMetrics()
    .filter(({ kind }) => kind === 'epoch')
  assert.deepEqual(epochs.at(-1)?.architecture, RunFolder.open(whole.out).readGenotype())
})

test('enas: stopped while its controller learns, a search goes on to the same bits', async () => {
  const own = ['enas.updates=2', 'enas.updateSamples=2', 'enas.epochSamples=2', 'enas.images=8']
  const begin = (name: string) => ({
    ...{ preset: 'demo', space: 'nasbench201', strategy: 'enas', epochs: 2, out: join(place.path, name) },
    settings: [...settings.filter((one) => !one.startsWith('rsps')), ...own, 'enas.samples=3'],
  })
  const whole = begin('enas-whole')
  const all = await followed(whole)
  assert.equal(all.filter((line) => line.startsWith('controller')).length, 8)
  const stopped = begin('enas-stopped')
  assert.deepEqual(await followed(stopped, 3), all.slice(0, 3))
  assert.deepEqual(await followed({ resume: stopped.out }), all.slice(3))
  assertSameRun(stopped.out, whole.out)
})

test('a whole search is as long as published, a small one stays small', () => {
  const epochsOf = (preset: string, strategy = 'rsps') => requestedSearch({ preset, strategy }).config.epochs
  assert.equal(epochsOf('nasbench201', 'drnas'), 100)
  assert.equal(epochsOf('cifar10', 'snas'), 150)
  assert.equal(epochsOf('nasbench201'), 250)
  assert.equal(epochsOf('cifar10'), 50)
  assert.equal(epochsOf('demo'), 12)
  const { strategy } = requestedSearch({ preset: 'demo', strategy: 'rsps' }).parts
  const small = { ...searchPreset('nasbench201'), epochs: 12 }
  assert.equal(withParts(small, { space: nasbench201Space, strategy }).epochs, 12)
  const said = { preset: 'nasbench201', strategy: 'rsps', epochs: 7 }
  assert.equal(requestedSearch(said).config.epochs, 7)
})
