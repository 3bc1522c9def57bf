/** Changes by hand within searches: taken where a window opens, repeated by a resume, refused where they cannot be. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { RunControl } from '../../../src/runs/control.ts'
import { RunFolder } from '../../../src/runs/folder.ts'
import { askChange, type ChangeAnswer } from '../../../src/search/ask-change.ts'
import type { RefusedChange, SpaceChangeReport } from '../../../src/search/report.ts'
import type { SearchRequest } from '../../../src/search/request.ts'
import { runSearch } from '../../../src/search/run.ts'
import { type RandomSettings, random } from '../../../src/strategies/random.ts'
import type { SpaceChange, SpaceReport, StrategyDefinition } from '../../../src/strategies/strategy.ts'
import { workplace } from '../../end-to-end/command.ts'
import { writeImages } from '../../end-to-end/images.ts'
import { assertSameRun } from '../../end-to-end/runs.ts'
import { assertRefuses } from '../runs/temporary.ts'

const place = workplace()
const data = join(place.path, 'data')
before(() => writeImages(data, 16))
after(place.remove)

/** 5 steps an epoch; windows open before steps 1 and 4 of each. */
const settings = [
  'network.channels=4',
  'network.cells=3',
  'data.images=80',
  'data.batch=8',
  'evaluation.images=16',
  'evaluation.batch=8',
  'ddsas.window=3',
  'threads=1',
  'checkpoint.steps=1',
]

interface Course {
  /** What is asked for after so many steps. */
  readonly asks?: Readonly<Record<number, readonly SpaceChange[]>>
  /** The search is stopped after so many. */
  readonly stop?: number
}

/** Runs a search that asks itself for changes; gives what it told. */
async function follow(request: SearchRequest, run: string, { asks = {}, stop }: Course = {}) {
  const signal = { aborted: false }
  const told: SpaceChangeReport[] = []
  const refused: RefusedChange[] = []
  const searching = runSearch(
    { data, ...request, signal },
    {
      step: ({ globalStep }) => {
        for (const change of asks[globalStep] ?? []) new RunControl(run).ask(change)
        signal.aborted = globalStep === stop
      },
      space: (report) => told.push(report),
      refused: (report) => refused.push(report),
    },
  )
  if (stop === undefined) await searching
  else await assert.rejects(searching, { kind: 'interrupted' })
  return { told, refused }
}

const begin = (name: string) => {
  const out = join(place.path, name)
  return { out, request: { preset: 'demo', settings, epochs: 2, out } satisfies SearchRequest }
}

const close: SpaceChange = { kind: 'close', operations: ['none', 'sep_conv_5x5'] }
const expand: SpaceChange = { kind: 'expand', operations: ['sep_conv_5x5'] }
const shrink: SpaceChange = { kind: 'shrink', count: 20 }

test('taken at the next window; a search that was stopped goes on from before and after it to the same bits', async () => {
  const whole = begin('whole')
  const asks = { 1: [close, shrink], 4: [expand] }
  const { told } = await follow(whole.request, whole.out, { asks })
  assert.deepEqual(
    told.map(({ globalStep, change }) => [globalStep, change]),
    [
      [3, close],
      [3, shrink],
      [5, expand],
    ],
  )
  assert.deepEqual(
    told.map(({ groups }) => groups.normal?.available),
    [84, 64, 78],
  )
  const lines = RunFolder.open(whole.out).readMetrics()
  assert.deepEqual(
    lines.filter(({ kind }) => kind === 'space').map(({ kind: _, ...report }) => report),
    told,
  )
  assert.deepEqual(new RunControl(whole.out).waiting(), [])

  const stopped = begin('stopped')
  await follow(stopped.request, stopped.out, { asks: { 1: [close, shrink] }, stop: 4 })
  // from before the window in which they were taken
  const first = await follow({ resume: stopped.out, checkpoint: 3 }, stopped.out, {
    asks: { 4: [expand] },
    stop: 6,
  })
  const second = await follow({ resume: stopped.out, checkpoint: 5 }, stopped.out)
  const steps = ({ told }: { readonly told: readonly SpaceChangeReport[] }) =>
    told.map(({ globalStep }) => globalStep)
  assert.deepEqual([steps(first), steps(second)], [[3, 3, 5], [5]])
  assertSameRun(stopped.out, whole.out)
})

test('killed after the record was written and before the request was removed, it is made once', async () => {
  const { out, request } = begin('twice')
  await follow(request, out, { asks: { 1: [close] }, stop: 4 })
  const [{ id }] = new RunControl(out).records()
  writeFileSync(join(out, 'control', `${id}.json`), JSON.stringify(close))
  const { told, refused } = await follow({ resume: out }, out)
  assert.deepEqual([told, refused], [[], []])
  assert.deepEqual([new RunControl(out).waiting(), new RunControl(out).records().length], [[], 1])
})

test('what cannot be done is told and ignored, also what comes too late, and the search is as without', async () => {
  const [plain, asked] = [begin('plain'), begin('ignored')]
  await follow(plain.request, plain.out)
  const impossible: SpaceChange[] = [
    { kind: 'shrink', count: 99 },
    { kind: 'expand', operations: ['none'] },
  ]
  await follow(asked.request, asked.out, { stop: 1 })
  const malformed = join(asked.out, 'control', `${'0'.repeat(17)}-00000000.json`)
  mkdirSync(join(asked.out, 'control'))
  writeFileSync(malformed, '{"kind":"grow"}')
  const { told, refused } = await follow({ resume: asked.out }, asked.out, {
    asks: { 2: impossible, 9: [shrink] },
  })
  assert.deepEqual(told, [])
  assert.deepEqual(
    refused.map(({ globalStep, reason }) => [globalStep, reason.replace(/: .*grow.*|kind: .*/, '')]),
    [
      [3, 'no change of a space: '],
      [3, "shrink 99: at most 98 operations of 'normal' can go, as each edge keeps one"],
      [3, 'expand none: the space is so already'],
      [10, 'shrink 20: the search has ended'],
    ],
  )
  assert.ok(!existsSync(malformed))
  assertSameRun(asked.out, plain.out)
})

test('a question says what will happen: by the last checkpoint, and by what was asked for before', async () => {
  const { out, request } = begin('asked')
  await follow(request, out, { stop: 4 })
  const first = askChange({ run: out, change: close })
  const { groups: _, ...facts } = first
  assert.deepEqual(facts, { run: out, change: close, running: false, globalStep: 4, before: 0 })
  assert.deepEqual(first.groups.reduce, { available: 84, deleted: { none: 14, sep_conv_5x5: 14 }, added: {} })
  const second = askChange({ run: out, change: shrink })
  assert.deepEqual([second.before, second.groups.normal?.available], [1, 64])
  const refuses = (change: SpaceChange, pattern: RegExp) =>
    assertRefuses(() => askChange({ run: out, change }), 'input', pattern)
  refuses({ kind: 'shrink', count: 51 }, /^shrink 51: at most 50 operations/)
  refuses({ kind: 'close', operations: ['none'] }, /^close none: the space is so already/)
  refuses({ kind: 'expand', operations: ['conv'] }, /no operation 'conv'/)
  refuses({ kind: 'shrink', count: 0 }, /askChange: change\.count/)
  const { told } = await follow({ resume: out }, out)
  assert.deepEqual(
    told.map(({ globalStep, groups }) => [globalStep, groups.normal?.available]),
    [
      [5, 84],
      [5, 64],
    ],
  )
  refuses(shrink, /^shrink 20: the search in .* has ended after 2 epochs/)
  assert.deepEqual(new RunControl(out).waiting(), [])
})

test('asked of a search that runs, the answer knows the schedule of the epoch that began after its checkpoint', async () => {
  const { out, request } = begin('scheduled')
  const operations = ['sep_conv_3x3', 'skip_connect']
  const schedule = `ddsas.changes=${JSON.stringify([{ epoch: 1, change: { kind: 'only', operations } }])}`
  const answers: ChangeAnswer[] = []
  const told: SpaceChangeReport[] = []
  await runSearch(
    { ...request, data, settings: [...settings, 'checkpoint.steps=0', 'ddsas.subspace=20', schedule] },
    {
      step: ({ globalStep }) => {
        if (globalStep === 7) answers.push(askChange({ run: out, change: { kind: 'shrink', count: 3 } }))
      },
      space: (report) => told.push(report),
    },
  )
  const [{ running, globalStep, groups }] = answers
  assert.deepEqual([running, globalStep, groups.normal?.available], [true, 5, 25])
  assert.deepEqual(
    told.map((report) => [report.globalStep, report.groups.normal?.available]),
    [
      [5, 28],
      [8, 25],
    ],
  )
})

test('a strategy whose space does not change says so, and one of its own may change it', async () => {
  const fixed = begin('random')
  await follow(
    { ...fixed.request, strategy: 'random', settings: settings.filter((key) => !/ddsas/.test(key)) },
    fixed.out,
    { stop: 1 },
  )
  assertRefuses(
    () => askChange({ run: fixed.out, change: shrink }),
    'input',
    /^shrink 20: the strategy 'random' has no space that changes; ddsas has$/,
  )
  const report: SpaceReport = { normal: { available: 1, deleted: {}, added: {} } }
  const own: StrategyDefinition<RandomSettings> = {
    ...random,
    name: 'own',
    create: (context, given) => {
      const inner = random.create(context, given)
      return {
        prepareStep: (at) => inner.prepareStep(at),
        archStep: (...step) => inner.archStep(...step),
        archWeights: (group, mode) => inner.archWeights(group, mode),
        derive: (evaluate) => inner.derive(evaluate),
        changeSpace: () => report,
        state: () => inner.state(),
        load: (state) => inner.load(state),
        dispose: () => inner.dispose(),
      }
    },
  }
  const { out, request } = begin('own')
  const { told } = await follow(
    { ...request, strategy: own, epochs: 1, settings: settings.filter((key) => !/ddsas/.test(key)) },
    out,
    { asks: { 2: [shrink] } },
  )
  // it has no windows: before the next step
  assert.deepEqual(told, [{ epoch: 0, globalStep: 2, change: shrink, groups: report }])
})
