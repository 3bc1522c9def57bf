/** A strategy of stages: from an epoch on the supernet is another one, also after a resume within that stage. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { RunFolder } from '../../src/runs/folder.ts'
import { runSearch } from '../../src/search/run.ts'
import { type RandomSettings, random } from '../../src/strategies/random.ts'
import type { StrategyDefinition } from '../../src/strategies/strategy.ts'
import { decodeSafetensors, tidy } from '../../src/torch/index.ts'
import { workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
before(() => writeImages(data, 16))
after(place.remove)

/** Random search whose supernet has a fourth cell from the second epoch on. */
const staged: StrategyDefinition<RandomSettings> = {
  ...random,
  name: 'staged',
  stages: () => [{ from: 1, network: { cells: 4 } }],
  create: (context, settings) => {
    const inner = random.create(context, settings)
    return {
      prepareStep: (at) => inner.prepareStep(at),
      archStep: (...given) => inner.archStep(...given),
      archWeights: (group, mode) => inner.archWeights(group, mode),
      derive: (evaluate) => inner.derive(evaluate),
      state: () => inner.state(),
      load: (state) => inner.load(state),
      dispose: () => inner.dispose(),
    }
  },
}

const settings = [
  'network.channels=4',
  'network.cells=3',
  'data.images=64',
  'data.batch=8',
  'evaluation.images=16',
  'evaluation.batch=8',
  'random.candidates=2',
  'threads=1',
]

const cellsOf = (run: RunFolder) =>
  tidy(() => {
    const bytes = run.loadCheckpoint()?.files.get('weights.safetensors') ?? Buffer.alloc(0)
    const names = [...decodeSafetensors(bytes, 'weights').tensors.keys()]
    return new Set(names.flatMap((name) => /^cells\.\d+/.exec(name) ?? [])).size
  })

test('the second stage has its own supernet, and a search stopped in it goes on exactly', async () => {
  const request = { preset: 'demo', strategy: staged, settings, epochs: 3, data }
  const whole = await runSearch({ ...request, out: join(place.path, 'whole') })
  assert.equal(cellsOf(whole.run), 4)
  const out = join(place.path, 'stopped')
  for (const stop of [2, 6]) {
    const signal = { aborted: false }
    const step = ({ globalStep }: { readonly globalStep: number }) => {
      signal.aborted = globalStep === stop
    }
    const how = stop === 2 ? { ...request, out } : { resume: out, data, strategy: staged }
    await assert.rejects(runSearch({ ...how, signal }, { step }), { kind: 'interrupted' })
    assert.equal(cellsOf(RunFolder.open(out)), stop === 2 ? 3 : 4)
  }
  await runSearch({ resume: out, data, strategy: staged })
  assertSameRun(out, whole.run.path)
})
