/** Measuring a table, by a runtime whose times are known: what is timed, what is predicted, what goes on, what is refused. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readLatencyTable, writeLatencyTable } from '../../../src/budget/latency-table.ts'
import { DdsasError, type ErrorKind } from '../../../src/errors.ts'
import { checkLatency } from '../../../src/latency/check.ts'
import { type MeasureRequest, measureLatency } from '../../../src/latency/measure.ts'
import { deployed, drawDifferent } from '../../../src/latency/networks.ts'
import { openRuntime } from '../../../src/latency/runtime.ts'
import { structureOf } from '../../../src/latency/structure.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { temporaryFolder } from '../runs/temporary.ts'
import { fakeRuntime, type Node } from './fake-runtime.ts'

const network = { kind: 'cifar', channels: 4, cells: 3, classes: 10, imageSide: 8 } as const
const limits = { least: 2, most: 3, precision: 0.01 }

function requestOf(t: TestContext, changes: Partial<MeasureRequest> = {}): MeasureRequest {
  return {
    ...{ space: 'nasbench201', network, batch: 1, threads: 1, networks: 30, heldOut: 6, seed: 0, limits },
    ...{ out: join(temporaryFolder(t), 'table.json') },
    ...changes,
  }
}

async function assertRefusesLater(
  action: Promise<unknown>,
  kind: ErrorKind,
  ...patterns: RegExp[]
): Promise<void> {
  await assert.rejects(action, (error) => {
    assert.ok(error instanceof DdsasError, String(error))
    assert.equal(error.kind, kind, error.message)
    for (const pattern of patterns) assert.match(error.message, pattern)
    return true
  })
}

const costs: Readonly<Record<string, number>> = { Conv: 0.1, MaxPool: 0.05, AveragePool: 0.08, Relu: 0.01 }

/** By the nodes of a model. A ReLU that several read is one node: so much is not additive. */
const byNodes = (nodes: readonly Node[]) =>
  nodes.reduce((sum, { opType }) => sum + (costs[opType] ?? 0.001), 0.02)

for (const name of ['darts', 'nasbench201'])
  test(`${name}: 30 networks tell what 6 others take, within 5 %`, async (t) => {
    const request = requestOf(t, { space: name })
    const table = await measureLatency(request, fakeRuntime(byNodes))
    assert.ok(table.errors.max < 0.05, JSON.stringify(table.errors))
    assert.deepEqual([table.errors.networks, table.fitted.length], [6, 30])
    assert.deepEqual(readLatencyTable(request.out), table)
    assert.equal(existsSync(`${request.out}.partial`), false)
    // the fit has not seen what it is judged by
    const seen = new Set(table.fitted.map(({ architecture }) => architecture))
    for (const { architecture } of table.heldOut) assert.ok(!seen.has(architecture))
  })

test('a space whose networks cost no sum is refused: nothing would be limited by its table', async (t) => {
  const request = requestOf(t, { space: 'nasbench1shot1-1' })
  await assert.rejects(
    measureLatency(request, fakeRuntime(byNodes)),
    /multiply-adds of networks of the space 'nasbench1shot1-1' are no sum over their candidates/,
  )
})

test('candidates are of one class where their layers and sizes are the same everywhere', () => {
  const programs = drawDifferent(dartsSpace, 30, 0).map((genotype) => deployed(dartsSpace, genotype, network))
  const { classes, parts, operations } = structureOf(dartsSpace, network, programs)
  const [normal, reduce] = ['normal', 'reduce'].map((group) => classes.get(group) ?? assert.fail())
  for (const row of normal) assert.deepEqual(row, normal[0])
  // rows 0 and 1 read the cell's inputs with stride 2, row 2 too, row 4 reads a node
  assert.deepEqual(reduce[1], reduce[0])
  assert.notDeepEqual(reduce[4], reduce[0])
  // three cells: one normal, two reductions
  const names = (group: readonly (readonly number[])[], row: number, column: number) =>
    parts[group[row][column]].map((index) => operations[index].name)
  assert.deepEqual(names(normal, 0, 4), ['sep_conv_3x3'])
  assert.deepEqual(names(reduce, 0, 3), ['skip_connect', 'skip_connect'])
  // an identity takes no time, nor does what is not there
  assert.deepEqual([names(normal, 0, 3), names(reduce, 4, 3), names(normal, 0, 0)], [[], [], []])
})

test('stopped while it times, it keeps whole rounds, and the same request goes on to the same table', async (t) => {
  const request = requestOf(t, { networks: 6, heldOut: 3, limits: { least: 3, most: 3, precision: 0.01 } })
  const whole = await measureLatency({ ...request, out: `${request.out}.whole` }, fakeRuntime(byNodes))
  let rounds = 0
  const interrupted = measureLatency(request, fakeRuntime(byNodes), {
    progress: ({ models, stage }) => {
      if (models === 'networks' && stage === 'timing') rounds += 1
    },
    stopped: () => rounds >= 2,
  })
  await assertRefusesLater(interrupted, 'interrupted', /table\.json\.partial has what was measured/)
  assert.equal(existsSync(request.out), false)
  const done: string[] = []
  const table = await measureLatency(request, fakeRuntime(byNodes), {
    progress: ({ models, stage, done: count }) => {
      if (stage === 'timing') done.push(`${models} ${count}`)
    },
  })
  assert.deepEqual(done, ['networks 3'])
  assert.deepEqual({ ...table, date: '' }, { ...whole, date: '' })
})

test('what was begun otherwise, or is damaged, is refused, naming the file', async (t) => {
  const request = requestOf(t, { networks: 4, heldOut: 2 })
  const path = `${request.out}.partial`
  let timing = false
  const stopped = measureLatency(request, fakeRuntime(byNodes), {
    progress: ({ stage }) => {
      timing ||= stage === 'timing'
    },
    stopped: () => timing,
  })
  await assertRefusesLater(stopped, 'interrupted')
  await assertRefusesLater(
    measureLatency({ ...request, threads: 2 }, fakeRuntime(byNodes)),
    'input',
    /\.partial was begun with threads 1, not 2: ask for the same, or remove it/,
  )
  writeFileSync(path, readFileSync(path, 'utf8').replace(/"groups": .*/, '"groups": {"operations": [[-1]]}'))
  await assertRefusesLater(
    measureLatency(request, fakeRuntime(byNodes)),
    'input',
    /operations\.0\.0: Too small/,
  )
  writeFileSync(path, '{')
  await assertRefusesLater(measureLatency(request, fakeRuntime(byNodes)), 'input', /not valid JSON/)
})

test('what cannot be measured is refused before anything is timed', async (t) => {
  const runtime = fakeRuntime(byNodes)
  const refused = (changes: Partial<MeasureRequest>, ...patterns: RegExp[]) =>
    assertRefusesLater(measureLatency(requestOf(t, changes), runtime), 'input', ...patterns)
  await refused({ space: 'dart' }, /there is no space 'dart'/)
  await refused({ networks: 0 }, /networks: Too small/)
  await refused({ batch: Number.NaN }, /batch/)
  await refused({ space: 'nasbench201', network: { ...network, cells: 4 } }, /4 cells cannot be divided/)
  await refused({ network: { ...network, imageSide: 7 } }, /images of 7 px cannot be halved/)
  const [choice] = nasbench201Space.choices
  const small = {
    ...nasbench201Space,
    name: 'small',
    decode: () =>
      nasbench201Space.decode(
        new Map([[choice.name, Array.from({ length: choice.rows }, () => [0, 1, 0, 0, 0])]]),
      ),
  }
  await refused({ space: small }, /the space 'small' has too few architectures to time 36/)
  assert.equal(runtime.loads(), 0)
})

test('a check says whether a table holds, and how much slower this machine is', async (t) => {
  const request = requestOf(t)
  const table = await measureLatency(request, fakeRuntime(byNodes))
  const check = { space: 'nasbench201', table, source: request.out, networks: 8, seed: 0, limits }
  const same = await checkLatency(check, fakeRuntime(byNodes))
  assert.ok(same.errors.max < 0.05 && Math.abs(same.ratio - 1) < 0.05)
  const known = new Set([...table.fitted, ...table.heldOut].map(({ architecture }) => architecture))
  for (const { architecture } of same.networks) assert.ok(!known.has(architecture))
  const slower = await checkLatency(
    check,
    fakeRuntime((nodes) => 3 * byNodes(nodes)),
  )
  assert.ok(Math.abs(slower.ratio - 3) < 0.15 && slower.errors.mean > 0.6 && slower.scaled.max < 0.05)
  writeLatencyTable(request.out, { ...table, space: 'darts' })
  await assertRefusesLater(
    checkLatency({ ...check, table: readLatencyTable(request.out) }, fakeRuntime(byNodes)),
    'input',
    /its space is darts, nasbench201 is needed/,
  )
})

test('a runtime that is absent, or not what it should be, is refused with the command that installs it', async () => {
  await assertRefusesLater(
    openRuntime('onnxruntime-node', () =>
      Promise.reject(new Error("Cannot find package 'onnxruntime-node'")),
    ),
    'setup',
    /Cannot find package.*npm install --no-save --ignore-scripts onnxruntime-node/,
  )
  await assertRefusesLater(
    openRuntime('onnxruntime-web', async () => ({})),
    'setup',
    /is of a version that is not known/,
  )
})

test('ONNX Runtime itself, in its build for WebAssembly, times networks and operations of several images', async (t) => {
  const runtime = await openRuntime('onnxruntime-web')
  const request = requestOf(t, {
    networks: 3,
    heldOut: 2,
    batch: 2,
    limits: { least: 1, most: 1, precision: 1 },
  })
  const table = await measureLatency(request, runtime)
  assert.match(table.runtime.version, /^\d+\.\d+/)
  for (const { ms } of [...table.fitted, ...table.heldOut]) assert.ok(ms > 0.01 && ms < 10_000, String(ms))
  // a few times of a busy machine may leave nothing to the base, or all: what holds is that none is negative
  const costs = [table.table.base, ...[...table.table.costs.values()].flat(2)]
  assert.ok(
    costs.every((ms) => Number.isFinite(ms) && ms >= 0) && costs.some((ms) => ms > 0),
    JSON.stringify(costs),
  )
})
