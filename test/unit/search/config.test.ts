/** The settings of a search: changes by `key=value`, differences of two searches, and the presets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DdsasError } from '../../../src/errors.ts'
import { checkPrecision } from '../../../src/loop/common-settings.ts'
import { describeDifferences, flatten } from '../../../src/loop/settings.ts'
import { applySettings, parseSearchConfig, type SearchConfig } from '../../../src/search/config.ts'
import { searchPreset, searchPresets } from '../../../src/search/presets.ts'
import { assertRefuses } from '../runs/temporary.ts'

const preset = searchPreset('cifar10')

function refuses(assignment: string, ...patterns: RegExp[]): void {
  assertRefuses(() => applySettings(preset, [assignment]), 'input', ...patterns)
}

test('flatten gives every dotted key, and lists stay whole', () => {
  assert.deepEqual(
    [...flatten({ a: 1, b: { c: 'x', d: { e: [1, { f: 2 }] } }, g: null })],
    [
      ['a', 1],
      ['b.c', 'x'],
      ['b.d.e', [1, { f: 2 }]],
      ['g', null],
    ],
  )
  assert.deepEqual([...flatten({})], [])
})

test('values are set by key, the last wins, and nothing else changes', () => {
  const before = structuredClone<SearchConfig>(preset)
  const changed = applySettings(preset, [
    'weightOptimizer.lr=0.1',
    'seed=3',
    'seed=4',
    'data.flip=false',
    'device=cpu',
    'archOptimizer.betas=[0.9,0.99]',
    'ddsas.changes=[{"epoch":2,"change":{"kind":"shrink","count":14}}]',
  ])
  assert.deepEqual(preset, before)
  assert.deepEqual(changed, {
    ...before,
    weightOptimizer: { ...before.weightOptimizer, lr: 0.1 },
    seed: 4,
    data: { ...before.data, flip: false },
    device: 'cpu',
    archOptimizer: { ...before.archOptimizer, betas: [0.9, 0.99] },
    ddsas: { ...before.ddsas, changes: [{ epoch: 2, change: { kind: 'shrink', count: 14 } }] },
  })
})

test('what cannot be set is refused with its key', () => {
  refuses('weightOptimizer.lr', /--set weightOptimizer\.lr: write it as key=value/)
  refuses('=1', /write it as key=value/)
  refuses('', /write it as key=value/)
  for (const key of ['lr', 'weightOptimizer.', '.lr', 'weightOptimizer.lt', 'constructor', '__proto__.a'])
    refuses(
      `${key}=1`,
      /^--set: there is no setting '.+'; the nearest is '.+', and all are listed by: npx ddsas config keys$/,
    )
  refuses('weightOptimizer.lt=1', /the nearest is 'weightOptimizer\.lr'/)
  refuses('archOptimizer.lt=1', /the nearest is 'archOptimizer\.lr'/)
  refuses(
    'weightOptimizer=1',
    /^--set: weightOptimizer is a group of settings: lr, minLr, schedule, warmUp, momentum, /,
  )
  refuses('weightOptimizer.lr.x=1', /^--set: weightOptimizer\.lr: expected number, received object$/)
  refuses('weights.rate=0.1', /^--set: there is no setting 'weights\.rate'; it is now 'weightOptimizer\.lr'$/)
  refuses('architecture.betas=1', /it is now 'archOptimizer\.betas'$/)
  refuses('ddsas.profile=paper', /it is now 'ddsas\.variant'$/)
  refuses('weights.lrr=0.1', /there is no setting 'weights\.lrr'; the nearest is 'weightOptimizer\.lr'/)
  refuses('weightOptimizer.lr=high', /^--set: weightOptimizer\.lr: expected number, received string/)
  refuses('weightOptimizer.lr=-1', /weightOptimizer\.lr/)
  refuses('weightOptimizer.lr=NaN', /weightOptimizer\.lr: expected number, received string/)
  refuses('weightOptimizer.momentum=1', /weightOptimizer\.momentum/)
  refuses('data.flip=yes', /data\.flip: expected boolean, received string/)
  refuses('data.batch=1.5', /data\.batch: expected int/)
  refuses('archOptimizer.betas=[0.5]', /archOptimizer\.betas/)
  refuses('ddsas.variant=fast', /ddsas\.variant: .*"authors-code"\|"paper"/)
  refuses('ddsas.changes=[{"epoch":1,"change":{"kind":"shrink","from":3}}]', /ddsas\.changes\.0\.change/)
  refuses('dataset=imagenet', /dataset: .*"cifar10"\|"cifar100"/)
})

test('any text is either a good setting or refused in one line', () => {
  const usual = [...flatten(preset)]
  const keys = usual.map(([key]) => key)
  const text = fc.string({ unit: 'binary' })
  // half of them are often good: the order of keys is then the schema's
  const value = fc.oneof(text, fc.constantFrom('0', '1', '2', '0.5', 'true', 'null', '[]', 'auto', 'cifar10'))
  const assignment = fc.oneof(
    text,
    fc.tuple(fc.constantFrom(...keys), value).map(([key, given]) => `${key}=${given}`),
    fc.constantFrom(...usual).map(([key, own]) => `${key}=${JSON.stringify(own)}`),
  )
  let good = 0
  fc.assert(
    fc.property(assignment, (setting) => {
      try {
        assert.deepEqual([...flatten(applySettings(preset, [setting])).keys()].sort(), keys.toSorted())
        good++
      } catch (error) {
        assert.ok(error instanceof DdsasError && error.kind === 'input')
        assert.doesNotMatch(error.message, /\p{Cc}/u)
      }
    }),
    { numRuns: 300 },
  )
  assert.ok(good > 10 && good < 200, `${good} of 300 were good`)
})

test('a configuration from a file is refused with the first thing wrong', () => {
  const refused = (value: unknown, pattern: RegExp) =>
    assertRefuses(() => parseSearchConfig(value, 'config.json'), 'input', pattern)
  assert.deepEqual(parseSearchConfig(JSON.parse(JSON.stringify(preset)), 'config.json'), preset)
  refused(undefined, /^config\.json: configuration: expected object/)
  refused([], /^config\.json: configuration: expected object/)
  refused({ ...preset, colour: 'red' }, /^config\.json: colour: there is no such setting/)
  refused(
    { ...preset, weightOptimizer: { ...preset.weightOptimizer, lt: 1 } },
    /weightOptimizer\.lt: there is no such setting/,
  )
  refused({ ...preset, epochs: undefined }, /epochs: expected number/)
})

test("mean and standard deviation are three shares each, or the data set's own", () => {
  const { data } = applySettings(preset, ['data.mean=[0.1,0.2,0.3]', 'data.std=[0.5,0.5,1]'])
  assert.deepEqual(
    [data.mean, data.std],
    [
      [0.1, 0.2, 0.3],
      [0.5, 0.5, 1],
    ],
  )
  assert.equal(applySettings({ ...preset, data }, ['data.mean=null']).data.mean, null)
  refuses('data.mean=0.5', /data\.mean/)
  refuses('data.mean=[0.5,0.5]', /data\.mean/)
  refuses('data.mean=[125,122,113]', /data\.mean\.0: .*<=1/)
  refuses('data.std=[0.5,0.5,0]', /data\.std\.2: .*>0/)
})

test('bfloat16 on a processor is for tests', (context) => {
  const before = process.env.DDSAS_CPU_BFLOAT16
  context.after(() => {
    if (before === undefined) delete process.env.DDSAS_CPU_BFLOAT16
    else process.env.DDSAS_CPU_BFLOAT16 = before
  })
  delete process.env.DDSAS_CPU_BFLOAT16
  assertRefuses(
    () => checkPrecision('bfloat16', 'cpu'),
    'device',
    /no vector kernels on a CPU.*--device cuda/,
  )
  checkPrecision('float32', 'cpu')
  checkPrecision('bfloat16', 'cuda:0')
  process.env.DDSAS_CPU_BFLOAT16 = '1'
  checkPrecision('bfloat16', 'cpu')
})

test('differences name key and both values; what changes no number is none', () => {
  const other = applySettings(preset, [
    'seed=2',
    'ddsas.changes=[{"epoch":1,"change":{"kind":"shrink","count":2}}]',
  ])
  assert.deepEqual(describeDifferences(preset, preset, 'the run'), [])
  assert.deepEqual(describeDifferences(preset, other, 'the run'), [
    'ddsas.changes is [] in the run, not [{"epoch":1,"change":{"kind":"shrink","count":2}}]',
    'seed is 0 in the run, not 2',
  ])
  const elsewhere = applySettings(preset, [
    'threads=77',
    'device=cpu',
    'checkpoint.steps=9',
    'checkpoint.seconds=1',
  ])
  assert.deepEqual(describeDifferences(preset, elsewhere, 'the run'), [])
})

test('every preset is valid and is what JSON keeps of it', () => {
  for (const [name, config] of Object.entries(searchPresets)) {
    assert.deepEqual(parseSearchConfig(JSON.parse(JSON.stringify(config)), name), config)
    assert.equal(searchPreset(name), config)
  }
  for (const name of ['', 'mnist', 'toString'])
    assertRefuses(
      () => searchPreset(name),
      'input',
      new RegExp(`no preset '${name}'; known are cifar10, cifar100, .*demo`),
    )
})

test('the elastic presets are those of the paper: epochs, stages, and Adam of the shrinking search on CIFAR-100', () => {
  const usual = { lr: 3e-4, betas: [0.5, 0.999], weightDecay: 1e-3, gradClip: null }
  const stages = (name: keyof typeof searchPresets) =>
    searchPresets[name].ddsas?.changes.map(({ epoch, change }) => {
      const { kind, ...what } = change
      return [epoch, kind, Object.values(what).flat().join()]
    })
  for (const dataset of ['cifar10', 'cifar100'] as const) {
    for (const kind of ['shrink', 'expand'] as const) {
      const config = searchPresets[`${dataset}-${kind}`]
      assert.deepEqual([config.epochs, config.dataset], [60, dataset])
      const quiet = kind === 'shrink' && dataset === 'cifar100'
      assert.deepEqual(config.archOptimizer, quiet ? { ...usual, lr: 3e-5, weightDecay: 0 } : usual)
    }
    assert.deepEqual(
      stages(`${dataset}-shrink`),
      [10, 20, 30, 40, 50].map((epoch) => [epoch, 'shrink', '14']),
    )
    assert.deepEqual(stages(`${dataset}-expand`), [
      [0, 'only', 'none,skip_connect,sep_conv_3x3'],
      [10, 'expand', 'max_pool_3x3'],
      [20, 'expand', 'dil_conv_3x3'],
      [30, 'expand', 'avg_pool_3x3'],
      [40, 'expand', 'sep_conv_5x5'],
      [50, 'expand', 'dil_conv_5x5'],
    ])
  }
})
