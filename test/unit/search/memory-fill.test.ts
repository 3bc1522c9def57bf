/** Searches that fill their subspaces up to memory: how close they come, what they follow, what is refused, and resuming. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Available } from '../../../src/budget/memory-available.ts'
import { type MemoryModel, predictMemory } from '../../../src/budget/memory-model.ts'
import type { ImageDataset } from '../../../src/data/index.ts'
import { toTensors } from '../../../src/data/training-images.ts'
import { oneProcess } from '../../../src/distributed/ranks.ts'
import { DdsasError } from '../../../src/errors.ts'
import { applySettings, partsOf, type SearchConfig } from '../../../src/search/config.ts'
import { DryRun } from '../../../src/search/dry-run.ts'
import { evaluateSupernet } from '../../../src/search/evaluate.ts'
import { imagesOf } from '../../../src/search/images.ts'
import { shapeOfDataset } from '../../../src/search/images-shape.ts'
import { filledSubspaces, fitSubspaceMemory } from '../../../src/search/memory-fill.ts'
import { memoryForLimit, withMemory } from '../../../src/search/memory-request.ts'
import { stepWithinMemory } from '../../../src/search/memory-step.ts'
import { followRoom, leastMemory, partsOfConfig } from '../../../src/search/memory-watch.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import type { MemoryReport } from '../../../src/search/report.ts'
import { searchStep } from '../../../src/search/search.ts'
import {
  createSession,
  disposeSession,
  restoreSession,
  type Session,
  sessionFiles,
} from '../../../src/search/session.ts'
import {
  liveSlots,
  resetPeakMemory,
  setMemoryLimit,
  setThreads,
  tensorMemory,
} from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

setThreads(1)

const count = 64
const dataset: ImageDataset = {
  name: 'noise',
  split: 'train',
  images: Uint8Array.from({ length: count * 3072 }, (_, index) => Math.imul(index + 1, 0x9e3779b1) >>> 24),
  labels: Uint8Array.from({ length: count }, (_, index) => index % 10),
  count,
  size: 32,
  classes: Array.from({ length: 10 }, (_, index) => `${index}`),
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
  fingerprint: '',
}

const configOf = (preset: string, limit: number, ...settings: readonly string[]) =>
  applySettings(searchPreset(preset), [
    'network.channels=4',
    'network.cells=3',
    'data.images=0',
    'data.batch=8',
    'evaluation.batch=4',
    'ddsas.window=2',
    'ddsas.fill=memory',
    `memory.limit=${Math.round(limit)}`,
    ...settings,
  ])

const enough = () => undefined
const images = shapeOfDataset(count, 10, searchPreset('cifar10'))

async function withSession<Result>(
  config: SearchConfig,
  fill: { readonly model: MemoryModel; readonly available?: () => Available | undefined },
  body: (session: Session) => Promise<Result>,
): Promise<Result> {
  const held = () => [liveSlots(), tensorMemory().live]
  const before = held()
  const session = createSession(config, imagesOf(dataset, config, 'cpu'), 'cpu', {}, oneProcess, {
    available: enough,
    ...fill,
  })
  try {
    setMemoryLimit('cpu', config.memory.limit)
    return await body(session)
  } finally {
    setMemoryLimit('cpu', 0)
    disposeSession(session)
    assert.deepEqual(held(), before)
  }
}

/** Takes steps and tells of the windows that they open. */
async function take(session: Session, steps: number): Promise<MemoryReport[]> {
  const reports: MemoryReport[] = []
  for (let i = 0; i < steps; i++)
    await stepWithinMemory(
      session,
      () => searchStep(session, 0.01),
      (report) => reports.push(report),
    )
  return reports
}

const operationsOf = ({ operations }: MemoryReport) =>
  Object.values(operations).reduce((sum, one) => sum + one, 0)

const MiB = 2 ** 20

/** Fitted once for each space: what subspaces take does not depend on the limit. */
const models = new Map<string, MemoryModel>()
function modelOf(preset: string): MemoryModel {
  const config = configOf(preset, 256 * MiB)
  const model = models.get(preset) ?? fitSubspaceMemory(config, partsOf(config), 'cpu', images, enough)
  models.set(preset, model)
  return model
}

for (const [preset, limits] of [
  ['demo', [12, 16, 22]],
  ['nasbench201', [4.7, 5.3, 6]],
] as const)
  for (const limit of limits)
    test(`${preset} in ${limit} MiB: the peak is at most that, and within 10 %`, async () => {
      const model = modelOf(preset)
      await withSession(configOf(preset, limit * MiB), { model }, async (session) => {
        resetPeakMemory()
        const reports = await take(session, 16)
        const peak = Math.max(tensorMemory().peak, ...reports.map((report) => report.peak ?? 0))
        assert.ok(peak <= limit * MiB, `${peak / MiB}`)
        assert.ok(peak >= 0.9 * limit * MiB, `${peak / MiB}`)
        assert.equal(reports.length, 8)
        for (const { allowed, predicted, globalStep } of reports) {
          assert.ok(predicted <= allowed && allowed <= Math.round(limit * MiB))
          assert.equal(globalStep % 2, 1)
        }
      })
    })

test('a lowered limit: the next window follows, says why, and grows again with what comes back', async () => {
  const model = modelOf('demo')
  let free = 2 ** 34
  const available = () => ({ bytes: free, where: 'left to this control group' })
  await withSession(configOf('demo', 20 * MiB), { model, available }, async (session) => {
    const [first, second] = await take(session, 4)
    assert.deepEqual([first.allowed, first.reason, second.reason], [20 * MiB, null, null])
    const { held } = tensorMemory()
    // what a checkpoint and JavaScript will take, and so much that 14 MiB are left of what is held
    const room = (bytes: number) => (bytes - held) * 1.03 + 64 * MiB
    free = room(14 * MiB)
    const [third, fourth] = await take(session, 4)
    assert.ok(third.allowed < 15 * MiB && third.allowed > 12 * MiB, `${third.allowed / MiB}`)
    assert.match(third.reason ?? '', /left to this control group$/)
    assert.equal(fourth.reason, null)
    assert.equal(fourth.allowed, third.allowed)
    assert.ok(operationsOf(third) < operationsOf(second))
    free = 2 ** 34
    const [fifth] = await take(session, 2)
    assert.deepEqual([fifth.allowed, fifth.reason !== null], [20 * MiB, true])
  })
})

test('noise of what is free is not followed', async () => {
  assert.equal(followRoom(100, null, undefined), null)
  assert.equal(followRoom(100, null, 100), null)
  assert.equal(followRoom(100, null, 1e9), null)
  const lower = followRoom(100, null, 80)
  assert.equal(lower, 77)
  for (const room of [77, 80, 84]) assert.equal(followRoom(100, lower, room), 77)
  assert.equal(followRoom(100, lower, 76), 73)
  assert.equal(followRoom(100, lower, 90), 87)
  assert.equal(followRoom(100, lower, 104), null)
  assert.equal(followRoom(60, lower, 90), null, 'a limit that is lower than that counts')
})

test('a window that does not fit, as the model is wrong, is sampled anew from the state before', async () => {
  const right = modelOf('demo')
  const model = { ...right, raise: right.raise.map((raise) => 0.85 * raise) }
  const config = configOf('demo', 20 * MiB)
  const { memory, files } = await withSession(config, { model }, async (session) => {
    const [first] = await take(session, 1)
    assert.match(first.reason ?? '', /a step came to the limit/)
    assert.ok(first.allowed < 20 * MiB)
    return { memory: session.memory?.state(), files: filesOf(session) }
  })
  assert.ok(memory !== undefined && memory.part < 1)
  // as if it had known from the beginning
  await withSession(config, { model }, async (knowing) => {
    knowing.memory?.load(memory)
    await take(knowing, 1)
    assert.deepEqual(filesOf(knowing), files)
  })
})

test('where not even small subspaces fit in a step, the search ends with the limit', async () => {
  const right = modelOf('demo')
  const model = { ...right, raise: right.raise.map(() => 0.4) }
  await withSession(configOf('demo', 4 * MiB), { model }, async (session) => {
    await assert.rejects(take(session, 1), (error) => {
      assert.ok(error instanceof DdsasError && error.kind === 'memory', String(error))
      assert.match(error.message, /would go beyond the limit of \d\.\d MiB/)
      return true
    })
  })
})

test('accuracy is measured on halves of a batch where there is no memory for all of it', async () => {
  const model = modelOf('demo')
  await withSession(configOf('demo', 20 * MiB), { model }, async ({ strategy, supernet }) => {
    strategy.prepareStep({ epoch: 0, step: 0, globalStep: 0 })
    const data = toTensors(dataset, 'cpu')
    const positions = Array.from({ length: 24 }, (_, index) => index)
    const measure = (batch: number, halves: boolean) =>
      evaluateSupernet(supernet, (group) => strategy.archWeights(group, 'eval'), data, positions, {
        batch,
        device: 'cpu',
        halves,
      })
    setMemoryLimit('cpu', 0)
    resetPeakMemory()
    const wanted = measure(6, false)
    setMemoryLimit('cpu', Math.round(1.2 * tensorMemory().peak))
    assert.throws(() => measure(24, false), /would go beyond the limit/)
    const { loss, accuracy } = measure(24, true)
    assert.ok(Math.abs(loss - wanted.loss) < 1e-6, `${loss}, ${wanted.loss}`)
    assert.equal(accuracy, wanted.accuracy)
    data.images.dispose()
    data.labels.dispose()
  })
})

const noLogs = { metricsBytes: 0, windowsBytes: 0 }
const filesOf = (session: Session) =>
  new Map(
    Object.entries(sessionFiles(session, noLogs)).map(([name, content]) => [name, Buffer.from(content)]),
  )

test('a resumed search goes by its own model and what it followed, in the middle of a window and at its end', async () => {
  const model = modelOf('demo')
  const config = configOf('demo', 20 * MiB)
  const other = { ...model, raise: model.raise.map((raise) => 1.2 * raise) }
  for (const steps of [3, 4]) {
    const { saved, later } = await withSession(config, { model }, async (whole) => {
      await take(whole, steps)
      const files = filesOf(whole)
      await take(whole, 3)
      return { saved: files, later: filesOf(whole) }
    })
    await withSession(config, { model: other }, async (resumed) => {
      restoreSession(resumed, saved)
      assert.deepEqual(resumed.memory?.state().model, model)
      await take(resumed, 3)
      assert.deepEqual(filesOf(resumed), later)
    })
  }
})

test('what is measured before a search keeps to its limit, also where hardly any subspace fits', (t) => {
  const whole = configOf('nasbench201', 256 * MiB, 'data.batch=16')
  const parts = partsOf(whole)
  const counted = partsOfConfig(whole, parts, 10)
  const model = fitSubspaceMemory(whole, parts, 'cpu', images, enough)
  const least = leastMemory(parts, (runs) => predictMemory(model, counted.count(runs)))
  const { step } = DryRun.prototype
  let most = 0
  t.mock.method(DryRun.prototype, 'step', function taken(this: DryRun, ...args: Parameters<typeof step>) {
    const seen = step.apply(this, args)
    most = Math.max(most, seen.peak)
    return seen
  })
  for (const factor of [1.02, 1.5]) {
    const limit = Math.ceil(factor * least)
    most = 0
    const found = fitSubspaceMemory(
      configOf('nasbench201', limit, 'data.batch=16'),
      parts,
      'cpu',
      images,
      enough,
    )
    assert.ok(most > limit / 4 && most <= limit, `${most} of ${limit}`)
    const again = leastMemory(parts, (runs) => predictMemory(found, counted.count(runs)))
    assert.ok(Math.abs(again / least - 1) < 0.05, `${again} is not ${least}`)
  }
})

test('a budget that leaves no subspace is refused with the nearest that can be met, which can', async () => {
  const refused = configOf('nasbench201', 2 * MiB)
  let nearest = ''
  assertRefuses(
    () => {
      try {
        fitSubspaceMemory(refused, partsOf(refused), 'cpu', images, enough)
      } catch (error) {
        nearest = /--memory (\d+)MiB/.exec(String(error))?.[1] ?? ''
        throw error
      }
    },
    'budget',
    /^the smallest subspaces of 'nasbench201' need about \d+(\.\d)? MiB of memory for their tensors, 2\.0 MiB are allowed by memory\.limit: the nearest that can be met is --memory \d+MiB; or use a smaller data\.batch/,
  )
  const { limit } = withMemory(refused, partsOf(refused), { memory: Number(nearest) * MiB }).memory
  const met = configOf('nasbench201', limit)
  const model = fitSubspaceMemory(met, partsOf(met), 'cpu', images, enough)
  const { operations, predicted } = filledSubspaces(met, partsOf(met), 'cpu', model, images.classes)
  assert.ok(operations >= 6 && predicted <= limit, `${operations}, ${predicted} of ${limit}`)
  const unlimited = configOf('demo', 0)
  assertRefuses(
    () => fitSubspaceMemory(unlimited, partsOf(unlimited), 'cpu', images, enough),
    'input',
    /^ddsas\.fill = memory fills subspaces up to memory\.limit, which is not set: say how much with --memory SIZE$/,
  )
})

test('memory of the process: what it takes besides tensors is not for them; the same request is the same search', async () => {
  const config = configOf('demo', 0, 'ddsas.fill=operations')
  const parts = partsOf(config)
  const asked = withMemory(config, parts, { memory: 2 ** 30 })
  assert.equal(asked.ddsas?.fill, 'memory')
  assert.deepEqual(withMemory(config, parts, { memory: 2 ** 30 }), asked)
  const back = memoryForLimit(config, parts, 'cpu', asked.memory.limit)
  assert.ok(Math.abs(back - 2 ** 30) <= 3, `${back}`)
  assert.equal(memoryForLimit(config, parts, 'cuda:0', 5), 5)
  assert.equal(withMemory(config, parts, {}), config)
  assertRefuses(
    () => withMemory(config, parts, { memory: 2 ** 28 }),
    'budget',
    /^--memory 256 MiB: the process takes up to 800 MiB when it draws the cell in the end: use that or more$/,
  )
  const darts = applySettings(searchPreset('demo'), [])
  const random = { ...partsOf(darts), strategy: partsOf({ space: 'darts', strategy: 'random' }).strategy }
  assert.equal(withMemory(darts, random, { memory: 2 ** 30 }).ddsas?.fill, 'operations')
})
