/** Partial channels: a node against the formula edge by edge, sizes that cannot be, and spaces that have none. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type ArchWeights,
  functional,
  images,
  Network,
  pool2d,
  type State,
  type Term,
} from '../../../src/nn/index.ts'
import { applySettings, checkStrategy, partsOf, withParts } from '../../../src/search/config.ts'
import { searchPresets } from '../../../src/search/presets.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { onePerRow } from '../../../src/spaces/one-per-row.ts'
import { PartialChannels } from '../../../src/spaces/partial-channels.ts'
import {
  channelShuffle,
  Generator,
  maxPool2d,
  maxPool3,
  noGrad,
  setThreads,
  slice,
  Tensor,
  tidy,
} from '../../../src/torch/index.ts'
import { programOf } from '../nn/programs.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { randomTensor } from './numerical.ts'

setThreads(1)

test('channels are dealt out as torch.nn.ChannelShuffle does', () =>
  tidy(() => {
    const x = Tensor.from(
      Float32Array.from({ length: 12 }, (_, k) => k),
      [1, 6, 1, 2],
    )
    // groups of three: 0 1 2 | 3 4 5
    assert.deepEqual([...channelShuffle(x, 2).floats()], [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11])
  }))

/** Of an edge: itself and a maximum, weighted, on the first of two channels of each pair. */
const candidates =
  (row: number, stride: 1 | 2) =>
  (_: number, input: string): Term[] =>
    [pool2d('max', stride), pool2d('avg', stride)].map((pool, column) => ({
      ...{ input, name: '', layers: [functional(pool)], operation: '' },
      choice: { group: 'g', row, column },
    }))

for (const stride of [1, 2] as const)
  test(`a node adds up what edges make of a part of the channels and what passes by, stride ${stride}`, () =>
    tidy(() => {
      const parts = new PartialChannels(4, 2)
      const edges = [0, 1].map((row) => ({ input: images, stride, terms: candidates(row, stride) }))
      const states: State[] = parts.node({ id: 'node', block: 'b', label: '0', edges })
      const network = new Network(programOf(states), { device: 'cpu', generator: new Generator(0) })
      const x = randomTensor([2, 4, 6, 6], new Generator(1), 'float32')
      const weights = Tensor.from(Float32Array.of(0.3, 0.5, -0.2, 0.7), [2, 2])
      const rows = Tensor.from(Float32Array.of(0.6, 0.4), [2])
      const archWeights = (): ArchWeights => ({ weights, rows, sampledOps: [[0], [0, 1]] })
      const found = noGrad(() => network.forward(x, { training: false, archWeights }).logits)
      const average = new Network(
        programOf([
          { id: 'a', kind: 'layers', input: images, name: '', layers: [functional(pool2d('avg', stride))] },
        ]),
        {
          device: 'cpu',
          generator: new Generator(0),
        },
      )
      const averaged = average.forward(x, { training: false }).logits
      const [most, mean] = [maxPool3(x, stride), averaged].map((y) => slice(y, 1, 0, 2).floats())
      const passed = slice(stride === 1 ? x : maxPool2d(x, 2, 2, 0), 1, 2, 4).floats()
      const size = found.shape[2] * found.shape[3]
      const values = found.floats()
      for (let image = 0; image < 2; image++)
        for (let channel = 0; channel < 2; channel++)
          for (let pixel = 0; pixel < size; pixel++) {
            const at = (image * 2 + channel) * size + pixel
            const seen = (0.3 - 0.2) * most[at] + 0.7 * mean[at]
            // one of each half in turns
            const place = (image * 4 + 2 * channel) * size + pixel
            assert.ok(Math.abs(values[place] - seen) < 1e-5, `seen ${values[place]} ${seen}`)
            assert.ok(Math.abs(values[place + size] - passed[at]) < 1e-5, `passed ${values[place + size]}`)
          }
    }))

test('parts of a state are made once for all edges that read it', () => {
  const parts = new PartialChannels(4, 2)
  const make = (id: string) =>
    parts.node({
      ...{ id, block: 'b', label: '' },
      edges: [1, 2].map((stride) => ({
        input: images,
        stride: stride === 1 ? 1 : 2,
        terms: candidates(0, 1),
      })),
    })
  assert.equal(make('a').length, 3 + 4)
  assert.equal(make('b').length, 4)
})

test('weights of supernets are smaller by K where candidates have them; the names stay', () => {
  for (const space of [dartsSpace, nasbench201Space]) {
    const size = { channels: 8, cells: 3, classes: 4 }
    const make = (partialChannels: number) =>
      new Network(space.supernet({ ...size, partialChannels }), {
        device: 'meta',
        generator: new Generator(0),
      }).parameters
    const [whole, part] = [make(1), make(4)]
    assert.deepEqual(Object.keys(part), Object.keys(whole))
    const name = Object.keys(whole).find((key) =>
      /_ops\.0\._ops\.4\.op\.2|edges\.1<-0\.3\.op\.1\.weight/.test(key),
    )
    assert.ok(name)
    assert.deepEqual([whole[name].shape[0], part[name].shape[0]], [8, 2])
  }
})

test('K that does not divide the channels, and spaces whose candidates see all, are refused with a remedy', () => {
  const parts = partsOf({ space: 'darts', strategy: 'pc-darts' })
  const config = withParts(searchPresets.demo, parts)
  assert.equal(config.network.partialChannels, 4)
  checkStrategy(config, parts)
  assertRefuses(
    () => checkStrategy(applySettings(config, ['network.partialChannels=3']), parts),
    'input',
    /8 channels cannot be divided by partialChannels 3: set network\.channels to a multiple/,
  )
  const [group] = dartsSpace.choices
  const choices = [{ ...group, name: 'row' }]
  const { partialChannels: _, ...whole } = { ...dartsSpace, ...onePerRow(choices), name: 'rows', choices }
  const own = { ...parts, space: whole }
  assertRefuses(
    () => withParts(searchPresets.demo, own),
    'input',
    /'pc-darts' cannot search 'rows': its candidates see all channels.*; it can search darts, nasbench201/,
  )
  const darts = { ...partsOf({ space: 'darts', strategy: 'darts' }), space: whole }
  const partial = withParts(searchPresets.demo, darts)
  assertRefuses(
    () => checkStrategy({ ...partial, network: { ...partial.network, partialChannels: 2 } }, darts),
    'input',
    /candidates of the space 'rows' see all channels: set network\.partialChannels to 1, not 2/,
  )
})
