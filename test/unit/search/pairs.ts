/** What every pair of a space and a strategy must do: one suite, run over the registries and over parts of one's own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ImageDataset } from '../../../src/data/index.ts'
import { exportOnnx } from '../../../src/export/onnx.ts'
import { Network, stateDict } from '../../../src/nn/index.ts'
import { type SearchConfig, type SearchParts, withParts } from '../../../src/search/config.ts'
import { imagesOf } from '../../../src/search/images.ts'
import { searchPresets } from '../../../src/search/presets.ts'
import { searchStep } from '../../../src/search/search.ts'
import {
  createSession,
  disposeSession,
  restoreSession,
  type Session,
  sessionFiles,
} from '../../../src/search/session.ts'
import { drawArchitecture } from '../../../src/spaces/architecture-weights.ts'
import type { NetworkShape } from '../../../src/spaces/network-shape.ts'
import type { SearchSpace } from '../../../src/spaces/space.ts'
import { channelsLast, Generator, liveSlots, noGrad, Tensor, tidy } from '../../../src/torch/index.ts'
import { runOnnx } from '../export/onnx-runtime.ts'

/** Pixels: the stem of ImageNet leaves an eighth. */
const sides = { cifar: 16, imagenet: 32 }
const images = 64
const classes = ['dark', 'bright', 'red', 'blue']

/** Images that tell their classes by brightness and colour alone. */
export function dataset(side = sides.cifar): ImageDataset {
  const generator = new Generator(0, 'pairs')
  const plane = side * side
  const levels = [
    [20, 20, 20],
    [200, 200, 200],
    [200, 40, 40],
    [40, 40, 200],
  ]
  const labels = Uint8Array.from({ length: images }, (_, index) => index % classes.length)
  const pixels = Uint8Array.from({ length: images * 3 * plane }, (_, at) => {
    const [image, channel] = [Math.floor(at / (3 * plane)), Math.floor(at / plane) % 3]
    return levels[labels[image]][channel] + generator.below(40)
  })
  const normal = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] } as const
  return {
    ...{ name: 'made', split: 'train', images: pixels, labels, count: images, size: side },
    ...{ classes, fingerprint: '', ...normal },
  }
}

const smallRanking = { samples: 3, epochSamples: 2, images: 8, finalists: 2 }

/** The settings of a pair, as small as they can be; L and windows are short. */
export function smallConfig(parts: SearchParts): SearchConfig {
  const base = withParts(searchPresets.demo, parts)
  const { ddsas, random, rsps, setn, enas, drnas, pcDarts, pDarts } = base
  return {
    ...base,
    network: {
      ...base.network,
      channels: 4,
      cells: 3,
      partialChannels: Math.min(2, base.network.partialChannels),
    },
    data: { ...base.data, images: 0, batch: 8 },
    evaluation: { images: 16, batch: 8 },
    epochs: 4,
    threads: 1,
    ...(ddsas ? { ddsas: { ...ddsas, window: 3 } } : {}),
    ...(rsps ? { rsps: smallRanking } : {}),
    ...(enas ? { enas: { ...enas, ...smallRanking, updates: 2, updateSamples: 2 } } : {}),
    ...(setn ? { setn: smallRanking } : {}),
    ...(random ? { random: { candidates: 3, images: 8 } } : {}),
    // alpha moves from the first step on
    ...(drnas ? { drnas: { ...drnas, warmUp: 0, widenTo: 1 } } : {}),
    ...(pcDarts ? { pcDarts: { warmUp: 0 } } : {}),
    ...(pDarts ? { pDarts: { ...pDarts, moreCells: [0, 0, 3], warmUp: 0 } } : {}),
  }
}

/** Runs `use` with a small search, whose settings `change` may change, and frees it after. */
export async function withSession(
  parts: SearchParts,
  use: (session: Session) => void | Promise<void>,
  change: (config: SearchConfig) => SearchConfig = (config) => config,
): Promise<void> {
  const config = change(smallConfig(parts))
  const session = createSession(
    config,
    imagesOf(dataset(sides[config.network.stem]), config, 'cpu'),
    'cpu',
    parts,
  )
  try {
    await use(session)
  } finally {
    disposeSession(session)
  }
}

const noLogs = { metricsBytes: 0, windowsBytes: 0 }

/** What a checkpoint of it holds. */
export function filesOf(session: Session): Map<string, Buffer> {
  return new Map(
    Object.entries(sessionFiles(session, noLogs)).map(([name, data]) => [name, Buffer.from(data)]),
  )
}

const lr = 0.02
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

/** Steps of the search that the tests of a pair share, one more than whole windows, and where tensors are counted: velocities stand by then. */
const steps = 61
const counted = { from: 45, between: 48, to: 57 }

/** Declares the tests of a pair: they look at one search after the other. */
export function testPair(parts: SearchParts): void {
  test(`${parts.space.name} by ${parts.strategy.name}`, (context) =>
    withSession(parts, async (session) => {
      const losses: number[] = []
      const searchTo = async (end: number) => {
        while (losses.length < end) losses.push((await searchStep(session, lr)).train.loss)
      }

      await context.test('a search goes on exactly, in the middle of a window', async () => {
        for (const before of [2, 3]) {
          await searchTo(before)
          const saved = filesOf(session)
          await withSession(parts, async (resumed) => {
            restoreSession(resumed, saved)
            assert.deepEqual(filesOf(resumed), saved, 'what was restored is what was saved')
            await searchStep(resumed, lr)
            await searchTo(before + 1)
            assert.deepEqual(filesOf(resumed), filesOf(session), 'and goes on the same')
          })
        }
      })

      await context.test('no tensor is left behind by a step', async () => {
        // velocities of operations that run for the first time stay
        const after = async (end: number) => {
          await searchTo(end)
          return liveSlots() - [...session.optimizer.state()].length
        }
        await after(counted.from)
        assert.equal(await after(counted.between), await after(counted.to))
      })

      await context.test('losses are finite and fall', async () => {
        await searchTo(steps)
        assert.ok(losses.every(Number.isFinite))
        assert.ok(
          mean(losses.slice(-20)) < 0.9 * mean(losses.slice(0, 20)),
          losses.map((x) => x.toFixed(2)).join(),
        )
      })

      await context.test(
        'what is derived is allowed, and evaluation neither samples nor moves anything',
        () => keepsStill(session),
      )
    }))
}

async function keepsStill({ space, strategy }: Session): Promise<void> {
  const derived = await strategy.derive(async () => ({ loss: 1, accuracy: 0.5 }))
  assert.deepEqual(space.parse(JSON.parse(JSON.stringify(derived)), 'derived'), derived)
  const before = JSON.stringify(strategy.state().data)
  for (const { name: group } of space.choices) tidy(() => strategy.archWeights(group, 'eval'))
  assert.equal(JSON.stringify(strategy.state().data), before)
}

/** Declares the tests of a space alone: its architectures, and their networks. */
export function testSpace(space: SearchSpace): void {
  test(`${space.name}: architectures are written and read back, and picked again from what they consist of`, () => {
    const generator = new Generator(1, space.name)
    for (let draw = 0; draw < 40; draw++) {
      const architecture = drawArchitecture(space, generator)
      assert.deepEqual(space.parse(space.format(architecture), 'text'), architecture)
      assert.deepEqual(space.parse(JSON.parse(JSON.stringify(architecture)), 'data'), architecture)
      assert.equal(space.distance(architecture, architecture), 0)
      const picks = space.encode(architecture)
      const scores = new Map(
        space.choices.map(({ name, rows, candidates }) => [
          name,
          Array.from({ length: rows }, (_, row) =>
            candidates.map((_, k) => (picks.get(name)?.[row]?.includes(k) ? 1 : 0)),
          ),
        ]),
      )
      assert.ok(space.distance(space.decode(scores), architecture) < 1e-12)
    }
  })

  test(`${space.name}: exported to ONNX, a network gives what it gives here`, async () => {
    const generator = new Generator(2, space.name)
    const side = sides.cifar
    for (let draw = 0; draw < 3; draw++) {
      const shape: NetworkShape = {
        ...{ space, genotype: drawArchitecture(space, generator), kind: 'cifar' },
        ...{ channels: 4, cells: 3, classes: 4, auxiliary: false },
      }
      const network = new Network(space.network(shape.genotype, shape), { device: 'cpu', generator })
      const pixels = Float32Array.from({ length: 2 * 3 * side * side }, () => generator.normal())
      const model = exportOnnx({ shape, tensors: stateDict(network), imageSide: side })
      const [found] = await runOnnx(model, { type: 'float32', data: pixels, shape: [2, 3, side, side] })
      tidy(() => {
        const x = channelsLast(Tensor.from(pixels, [2, 3, side, side]))
        const own = noGrad(() => network.forward(x, { training: false }).logits).floats()
        for (const [i, value] of found.floats().entries())
          assert.ok(Math.abs(value - own[i]) < 1e-4 * Math.max(1, Math.abs(own[i])), `${value} ${own[i]}`)
      })
    }
  })
}
