/** Spaces and strategies by name: what there is not is refused with what there is, and each pair gets its own settings. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { flatten } from '../../../src/loop/settings.ts'
import { parseSearchConfig, partsOf, withParts } from '../../../src/search/config.ts'
import { searchPresets } from '../../../src/search/presets.ts'
import { planSearch } from '../../../src/search/run.ts'
import { cellSpace } from '../../../src/spaces/darts/cell-space.ts'
import { darts } from '../../../src/spaces/darts/space.ts'
import { strategies } from '../../../src/strategies/index.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'

const { demo } = searchPresets

test('an unknown space or strategy, and settings of another strategy, are refused by name', (t) => {
  const out = join(temporaryFolder(t), 'run')
  const plan = (request: object) => planSearch({ preset: 'demo', out, ...request })
  assertRefuses(
    () => plan({ space: 'x' }),
    'input',
    /no space 'x'; known are darts, nasbench201, nasbench1shot1-1/,
  )
  assertRefuses(
    () => plan({ strategy: 'x' }),
    'input',
    new RegExp(`no strategy 'x'; known are ${Object.keys(strategies).join(', ')}$`),
  )
  const settings = ['ddsas.window=3']
  assertRefuses(() => plan({ strategy: 'random', settings }), 'input', /no setting 'ddsas\.window'/)
  assertRefuses(
    () => parseSearchConfig({ ...demo, strategy: 'x' }, 'f'),
    'input',
    /no such strategy; known are/,
  )
  assertRefuses(
    () => parseSearchConfig({ ...demo, space: 'x' }, 'f'),
    'input',
    /no such space; known are darts/,
  )
  assertRefuses(
    () => parseSearchConfig({ ...demo, strategy: 'random', random: { candidates: 1, images: 0 } }, 'f'),
    'input',
    /ddsas: there is no such setting/,
  )
})

test('another strategy has its own settings, another space its own size; a small preset stays small', () => {
  assert.equal(withParts(demo, partsOf(demo)), demo)
  const random = withParts(demo, partsOf({ space: 'darts', strategy: 'random' }))
  const keys = [...flatten(random).keys()].filter((key) => /^(ddsas|archOptimizer|random)/.test(key))
  assert.deepEqual(keys, ['random.candidates', 'random.images'])
  assert.deepEqual(random.weightOptimizer, demo.weightOptimizer)
  const own = cellSpace({ ...darts, name: 'own', nodes: 2 })
  const found = withParts(demo, { space: own, strategy: partsOf(demo).strategy })
  assert.deepEqual(
    [found.space, found.network, found.ddsas?.subspace],
    ['own', { channels: 8, cells: 5, stem: 'cifar', partialChannels: 1 }, 10],
  )
  for (const name of ['nasbench1shot1-1', 'nasbench1shot1-3'] as const) {
    const whole = withParts(demo, partsOf({ space: name, strategy: 'ddsas' }))
    assert.deepEqual(whole.ddsas, searchPresets[name].ddsas, 'L as published')
  }
})
