/** What JavaScript may give to the public functions: anything. Each refuses it as settings are refused. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import * as ddsas from '../../../src/index.ts'
import { trainedNetwork } from '../export/networks.ts'

const genotype = ddsas.publishedGenotype('DARTS_V2')
const shape = { kind: 'cifar', genotype, channels: 4, cells: 3, classes: 10, auxiliary: false }
const { trained } = trainedNetwork()
const weights = {
  shape: trained.shape,
  tensors: trained.tensors,
  source: 'weights',
  config: ddsas.trainPreset('cifar10'),
  data: 'data',
  device: 'cpu',
}
const nowhere = '/nowhere/run'
// where any text is a file, what is written goes here
const place = mkdtempSync(join(tmpdir(), 'ddsas-test-'))
process.chdir(place)
after(() => {
  process.chdir('/')
  rmSync(place, { recursive: true })
})
const content: ddsas.TableContent = {
  ...{ benchmark: 'NAS-Bench-201', space: 'nasbench201', architectures: 15_625, absent: [] },
  source: { kind: 'made', name: 'made', bytes: 0 },
  columns: [{ name: 'cifar10.validation.200', unit: '%', values: Float64Array.of(90) }],
  keys: ['|none~0|+|none~0|none~1|+|none~0|none~1|none~2|'],
  indexes: Uint32Array.of(3),
}
const table = new ddsas.BenchmarkTable(content)

const timed = { kind: 'cifar', channels: 16, cells: 8, classes: 10, imageSide: 32 } as const
const latencyRequest = {
  ...{ space: 'darts', network: timed, batch: 1, threads: 1, networks: 1, heldOut: 1, seed: 0, out: nowhere },
}
const runtime = {
  name: 'made',
  version: '1',
  load: () => Promise.reject(new ddsas.DdsasError('data', 'none')),
}
const latencyTable = {
  ...{ space: 'darts', network: timed, fitted: [], heldOut: [], candidates: new Map() },
  table: { quantity: 'latency', unit: 'ms', base: 1, costs: new Map() },
}

/** Each public function with arguments that it takes as they are. */
const calls: Readonly<Record<string, readonly unknown[]>> = {
  runSearch: [{ preset: 'demo', out: nowhere }],
  planSearch: [{ preset: 'demo', out: nowhere }],
  runTrain: [{ genotype, out: nowhere }],
  planLengths: [{ preset: 'demo', lengths: [] }],
  applySettings: [ddsas.searchPreset('demo'), []],
  parseSearchConfig: [ddsas.searchPreset('demo')],
  searchPreset: ['demo'],
  applyTrainSettings: [ddsas.trainPreset('cifar10'), []],
  trainPreset: ['cifar10'],
  readWindows: [nowhere],
  hasCifar: [nowhere, 'cifar10'],
  readCifar: [nowhere, 'cifar10', 'train'],
  drawCell: [genotype, 'normal'],
  drawBlock: [ddsas.shownNetwork(ddsas.dartsSpace, genotype), 'normal'],
  blockKinds: [ddsas.shownNetwork(ddsas.dartsSpace, genotype)],
  shownNetwork: [ddsas.dartsSpace, genotype],
  cosineDistance: [genotype, genotype],
  skipConnections: [genotype, 'normal'],
  formatGenotype: [genotype],
  parseGenotype: [genotype],
  parseGenotypeLine: [ddsas.formatGenotype(genotype)],
  readGenotypeFile: [nowhere],
  describeNetwork: [shape],
  programOf: [shape],
  publishedGenotype: ['DARTS_V2'],
  findSpace: ['darts'],
  findStrategy: ['ddsas'],
  cellSpace: [ddsas.darts],
  onePerRow: [ddsas.dartsSpace.choices],
  drawArchitecture: [ddsas.dartsSpace, new ddsas.torch.Generator(0)],
  importNasbench101: [nowhere],
  importNasbench201: [nowhere],
  openTable: [nowhere],
  writeTable: ['/proc/none/table', content],
  askChange: [{ run: nowhere, change: { kind: 'shrink', count: 1 } }],
  findCandidates: [{ run: nowhere }],
  measureLatency: [latencyRequest, runtime],
  checkLatency: [{ ...latencyRequest, table: latencyTable, source: 'made', limits: {} }, runtime],
  readLatencyTable: [nowhere],
  latencyCosts: [latencyTable, ddsas.dartsSpace, latencyTable.network, 'made'],
  tableCost: [latencyTable.table, ddsas.dartsSpace.encode(genotype)],
  findRow: [table, '3'],
  factsOf: [table, 0],
  accuraciesOf: [table, 0],
  judgeOf: [table],
  randomSearch: [table, { samples: 1, seeds: 1, dataset: 'cifar10' }],
  readTrained: [nowhere],
  evaluateWeights: [weights],
  readWeightFile: [nowhere],
  shapeOfWeights: [trained.tensors, genotype],
  exportOnnx: [trained, 'normalised'],
  exportPytorch: [trained],
  exportSafetensors: [trained],
}

/** None of these is what any function takes. */
const strange: readonly unknown[] = [
  null,
  3,
  'x',
  true,
  [],
  {},
  [1, 2],
  { normal: 3 },
  { shape: {} },
  () => 1,
  Symbol('x'),
]

const functions = Object.entries(ddsas).filter(
  ([name, value]) => typeof value === 'function' && !/^[A-Z]/.test(name),
)

async function outcome(name: string, args: readonly unknown[]): Promise<unknown> {
  const found = functions.find(([known]) => known === name)?.[1]
  try {
    return await Reflect.apply(found as (...given: unknown[]) => unknown, undefined, args)
  } catch (error) {
    return error
  }
}

test('every public function is here', () => {
  // one would fetch, one import a package; their names are tested below
  const besides = ['fetchDataset', 'openRuntime']
  for (const [name] of functions) assert.ok(name in calls || besides.includes(name), name)
})

for (const [name, args] of Object.entries(calls))
  test(`${name} refuses what it cannot take, and names itself or the thing`, async () => {
    for (const [index] of args.entries())
      for (const value of [undefined, ...strange]) {
        const given = args.map((usual, at) => (at === index ? value : usual))
        const ended = await outcome(name, given)
        const what = `${name}, argument ${index} ${String(typeof value === 'object' ? JSON.stringify(value) : String(value))}`
        // an argument may be left out, and any text may be a folder
        if ((index > 0 || value === 'x') && !(ended instanceof Error)) continue
        assert.ok(
          ended instanceof ddsas.DdsasError,
          `${what}: ${ended instanceof Error ? ended.stack : 'is taken'}`,
        )
        assert.match(ended.kind, /^(input|data)$/, what)
        assert.doesNotMatch(ended.message, /\n|undefined is not|Cannot read/, what)
      }
  })

test('the message names the function and the key', async () => {
  const refused = async (name: string, args: readonly unknown[], pattern: RegExp) => {
    const ended = await outcome(name, args)
    assert.ok(ended instanceof ddsas.DdsasError && ended.kind === 'input', String(ended))
    assert.match(ended.message, pattern)
  }
  await refused('describeNetwork', [{}], /^describeNetwork: kind: .*"cifar"\|"imagenet"/)
  await refused(
    'describeNetwork',
    [undefined],
    /^describeNetwork: shape: expected object, received undefined/,
  )
  await refused('describeNetwork', [{ ...shape, channels: 5 }], /^describeNetwork: channels: .*multiple of 2/)
  await refused(
    'describeNetwork',
    [{ ...shape, genotype: {} }],
    /^genotype given to describeNetwork: normal: /,
  )
  await refused(
    'describeNetwork',
    [shape, '32'],
    /^describeNetwork: imageSide: expected number, received string/,
  )
  await refused('exportOnnx', [trained, 'pixels'], /^exportOnnx: input: .*"normalised"\|"unit"\|"bytes"/)
  await refused(
    'exportPytorch',
    [{ ...trained, tensors: {} }],
    /^exportPytorch: tensors: expected a map of tensors/,
  )
  await refused('evaluateWeights', [{ ...weights, config: {} }], /^evaluateWeights: config\.dataset: /)
  await refused(
    'evaluateWeights',
    [{ ...weights, tensors: new Map([['a', 1]]) }],
    /^evaluateWeights: tensors: expected/,
  )
  await refused(
    'applySettings',
    [ddsas.searchPreset('demo'), 'epochs=1'],
    /^settings: assignments: expected array/,
  )
  await refused(
    'planLengths',
    [{ preset: 'demo', length: [20] }],
    /^planLengths: there is no option 'length'/,
  )
  await refused('fetchDataset', ['mnist', 'data'], /unknown data set "mnist"/)
  await refused('fetchDataset', ['cifar10', 3], /^fetchDataset: directory: expected string, received number/)
  await refused('hasCifar', [nowhere, 'mnist'], /unknown data set "mnist"/)
  await refused('readTrained', [3], /^readTrained: run: expected a RunFolder/)
  assert.throws(
    () => Reflect.apply(ddsas.RunFolder.open, ddsas.RunFolder, [3]),
    /RunFolder\.open: path: expected string/,
  )
})

test('a supernet and its strategy by hand', () => {
  const { Network, disposeModule } = ddsas.nn
  const space = ddsas.findSpace('darts')
  const definition = ddsas.findStrategy('ddsas')
  const init = { device: 'cpu', generator: new ddsas.torch.Generator(0, 'weights') }
  const size = { channels: 4, cells: 3, classes: 10 }
  const program = space.supernet(size)
  const supernet = new Network(program, init)
  const refused = (body: () => unknown, message: RegExp) =>
    assert.throws(body, { name: 'DdsasError', kind: 'input', message })
  const made = (...args: readonly unknown[]) => Reflect.apply(space.supernet, space, args)
  refused(() => made(), /^the space 'darts': options: expected object, received undefined/)
  refused(() => made({ ...size, cells: '3' }), /^the space 'darts': cells: expected number/)
  const discrete = (...args: readonly unknown[]) => Reflect.apply(space.network, space, [genotype, ...args])
  refused(() => discrete({ ...size, auxiliary: false }), /^the space 'darts': kind: .*"cifar"\|"imagenet"/)
  refused(() => discrete({ ...size, kind: 'cifar' }), /^the space 'darts': auxiliary: expected boolean/)
  const network = (...args: readonly unknown[]) => Reflect.construct(Network, args)
  refused(() => network(program, {}), /^Network: device: expected string/)
  refused(() => network(program, { device: 'cpu' }), /^Network: generator: expected a Generator/)
  refused(() => network(undefined, init), /^Network: program: expected object, received undefined/)
  refused(() => network({ ...program, states: [{ id: 3 }] }, init), /^Network: states\.0\.kind: .*'layers'/)
  refused(() => network(program, init, { precision: 'float16' }), /^Network: precision: .*"bfloat16"/)
  const settings = ddsas.searchPreset('demo')
  const strategy = (...args: readonly unknown[]) => Reflect.apply(definition.create, undefined, args)
  const changed = (change: object) => ({ ...settings, ddsas: { ...settings.ddsas, ...change } })
  refused(() => strategy({ space, init, seed: 0 }, {}), /^ddsas: ddsas: expected object, received undefined/)
  refused(() => strategy({ space, init, seed: 0 }, changed({ window: 0 })), /^ddsas: ddsas\.window: /)
  refused(() => strategy({ space, init, seed: 0 }, changed({ variant: 'fast' })), /^ddsas: ddsas\.variant: /)
  refused(() => strategy({ space, init: {}, seed: 0 }, settings), /^ddsas: device: expected string/)
  definition.create({ space, init, seed: 0, epochs: 1 }, settings).dispose()
  disposeModule(supernet)
})
