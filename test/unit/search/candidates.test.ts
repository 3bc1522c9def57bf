/** The best architectures of a run: by scores and by validation, within its limits, while it runs and after, and as text. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { candidatesCommand } from '../../../src/cli/candidates.ts'
import { RunFolder } from '../../../src/runs/folder.ts'
import { type Candidates, findCandidates } from '../../../src/search/candidates.ts'
import { costRanges } from '../../../src/search/limits.ts'
import { requestedSearch } from '../../../src/search/request.ts'
import { runSearch } from '../../../src/search/run.ts'
import { findSpace } from '../../../src/spaces/index.ts'
import { describeNetwork } from '../../../src/spaces/network-shape.ts'
import { random } from '../../../src/strategies/random.ts'
import type { StrategyDefinition } from '../../../src/strategies/strategy.ts'
import { liveSlots } from '../../../src/torch/index.ts'
import { workplace } from '../../end-to-end/command.ts'
import { writeImages } from '../../end-to-end/images.ts'

const place = workplace()
const data = join(place.path, 'data')
before(() => writeImages(data, 16))
after(place.remove)

const small = [
  ...['network.channels=4', 'network.cells=3', 'data.images=32', 'data.batch=8', 'threads=1'],
  ...['evaluation.images=8', 'evaluation.batch=8', 'checkpoint.steps=1'],
]

/** Searches for an epoch of two steps, or until it is stopped after one. */
async function searched(name: string, request: object, settings: readonly string[] = [], stop?: number) {
  const out = join(place.path, name)
  const signal = { aborted: false }
  const searching = runSearch(
    { preset: 'demo', epochs: 1, data, ...request, settings: [...small, ...settings], out, signal },
    {
      step: ({ globalStep }) => {
        signal.aborted = globalStep === stop
      },
    },
  )
  if (stop === undefined) await searching
  else await assert.rejects(searching, { kind: 'interrupted' })
  return out
}

function assertFalling({ candidates, space }: Candidates): void {
  for (const [at, { score }] of candidates.entries()) assert.ok(at === 0 || score <= candidates[at - 1].score)
  const texts = candidates.map(({ architecture }) => space.format(architecture))
  assert.equal(new Set(texts).size, texts.length)
}

test('ddsas: the first is the one that was picked, each with what its network costs; within an epoch and after', async () => {
  const run = await searched('ddsas', {}, ['ddsas.window=1'], 1)
  const begun = findCandidates({ run, top: 3 })
  assert.deepEqual([begun.progress.globalStep, begun.candidates.length], [1, 3])
  await runSearch({ resume: run, data })
  const slots = liveSlots()
  const found = findCandidates({ run })
  assert.equal(liveSlots(), slots)
  assert.deepEqual([found.by, found.progress.epoch, found.candidates.length], ['scores', 1, 10])
  assertFalling(found)
  const [first] = found.candidates
  assert.deepEqual(first.architecture, RunFolder.open(run).readGenotype())
  assert.equal(first.distance, 0)
  for (const { architecture, parameters, multiplyAdds } of found.candidates.slice(0, 2)) {
    const size = { kind: 'cifar', channels: 36, cells: 20, classes: 10, auxiliary: true } as const
    const wanted = describeNetwork({ ...size, genotype: architecture })
    assert.deepEqual([parameters, multiplyAdds], [wanted.parameters, wanted.multiplyAdds])
  }
})

test('NAS-Bench-1Shot1: sums over operations and over what blocks and output read; the first is the one that was picked', async () => {
  const run = await searched('inputs', { space: 'nasbench1shot1-2' }, ['ddsas.window=1'])
  const found = findCandidates({ run, top: 200 })
  assert.deepEqual([found.by, found.candidates.length], ['scores', 200])
  assertFalling(found)
  const [first] = found.candidates
  assert.deepEqual(first.architecture, RunFolder.open(run).readGenotype())
  const size = { kind: 'cifar', channels: 128, cells: 9, classes: 10, auxiliary: false } as const
  const wanted = describeNetwork({ ...size, space: found.space, genotype: first.architecture })
  assert.deepEqual([first.parameters, first.multiplyAdds], [wanted.parameters, wanted.multiplyAdds])
})

test('the variant that credits its last window in the end: the first is still the one that was picked', async () => {
  const run = await searched('paper', {}, ['ddsas.variant=paper', 'ddsas.window=1'])
  assert.deepEqual(findCandidates({ run }).candidates[0].architecture, RunFolder.open(run).readGenotype())
})

test('rsps: those that were ranked last, by their accuracy; none before an epoch has ended', async () => {
  const parts = { space: 'nasbench201', strategy: 'rsps' }
  const settings = ['rsps.samples=4', 'rsps.images=4', 'rsps.finalists=3']
  const run = await searched('rsps', parts, settings, 1)
  assert.throws(() => findCandidates({ run }), {
    kind: 'input',
    message: /has ranked nothing yet; wait for the end of its first epoch/,
  })
  await runSearch({ resume: run, data })
  const found = findCandidates({ run, top: 2 })
  assert.deepEqual([found.by, found.candidates.length], ['accuracy', 2])
  assertFalling(found)
  assert.deepEqual(found.candidates[0].architecture, RunFolder.open(run).readGenotype())
  const [epoch] = RunFolder.open(run)
    .readMetrics()
    .filter(({ kind }) => kind === 'epoch')
  const { valid } = z.object({ valid: z.object({ accuracy: z.number() }) }).parse(epoch)
  assert.equal(found.candidates[0].score, valid.accuracy)
})

test('within the limits of a run', async () => {
  const request = { preset: 'demo', space: 'nasbench201', strategy: 'darts', settings: small }
  const { config } = requestedSearch(request)
  const [{ least, most }] = costRanges(config, findSpace('nasbench201'))
  const limit = Math.floor(least + 0.2 * (most - least))
  const run = await searched('limited', request, [`limits.parameters=${limit}`])
  const found = findCandidates({ run, top: 20 })
  assert.equal(found.candidates.length, 20)
  assertFalling(found)
  for (const { parameters } of found.candidates) assert.ok(parameters <= limit)
  assert.deepEqual(found.candidates[0].architecture, RunFolder.open(run).readGenotype())
})

test('a strategy of one’s own that tells neither scores nor ranks is named', async () => {
  const own = {
    ...random,
    name: 'own',
    create: (context, settings) => {
      const strategy = random.create(context, settings)
      return {
        prepareStep: (at) => strategy.prepareStep(at),
        archStep: () => undefined,
        archWeights: (group, mode) => strategy.archWeights(group, mode),
        derive: (evaluate) => strategy.derive(evaluate),
        state: () => strategy.state(),
        load: (state) => strategy.load(state),
        dispose: () => strategy.dispose(),
      }
    },
  } satisfies StrategyDefinition<Parameters<typeof random.create>[1]>
  const run = await searched('own', { strategy: own, epochs: 1 }, ['random.candidates=1'])
  assert.throws(() => findCandidates({ run, strategy: own }), {
    kind: 'input',
    message: /the strategy 'own' neither scores candidates nor ranks architectures/,
  })
})

test('as a table and as JSON; what is no run, and how many there cannot be, are refused', async () => {
  const run = join(place.path, 'ddsas')
  const printed: string[] = []
  const command = (...words: readonly string[]) => {
    const made = candidatesCommand((text) => printed.push(text))
    return made
      .exitOverride()
      .configureOutput({ outputError: () => {} })
      .parseAsync(words, { from: 'user' })
  }
  await command(run, '--top', '2')
  const lines = (printed.pop() ?? '').trimEnd().split('\n')
  assert.match(lines[0], /^darts by ddsas, after 2 steps; score: the sum/)
  assert.match(lines[4], /^ {3}1 +\d\.\d{4} {2}0\.00 +[\d,]+ +[\d,]+$/)
  assert.match(lines.at(-1) ?? '', /^ {3}2 {2}Genotype\(/)
  for (const line of lines.slice(0, 6)) assert.ok(line.length <= 92, line)
  await command(run, '--top', '2', '--json')
  const json: Candidates = JSON.parse(printed.pop() ?? '')
  assert.equal(json.candidates.length, 2)
  assert.deepEqual(json.candidates[0].architecture, RunFolder.open(run).readGenotype())
  for (const top of ['0', '1001', 'many']) await assert.rejects(command(run, '--top', top), /wanted/)
  await assert.rejects(command(data), { kind: 'input', message: /is not a run/ })
  assert.throws(() => findCandidates({ run, top: 0.5 }), { kind: 'input' })
})
