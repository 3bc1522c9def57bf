/** `loader`: how many images a second the loader prepares, and how much of a search step that is. */
import { z } from 'zod'
import type { ImageSource } from '../src/data/index.ts'
import { trainPresets } from '../src/retrain/presets.ts'
import { searchPresets } from '../src/search/presets.ts'
import { tidy } from '../src/torch/index.ts'
import { defineBenchmark, type Shown } from './benchmark.ts'
import { randomStreams, withData } from './data-wait.ts'
import { type Contestant, takeTurns } from './measure.ts'
import { type Settings, shapeOf, shapeSchema, shapeText } from './settings.ts'
import { spreadOf, spreadSchema, spreadText, turnsText } from './spread.ts'
import { ourStep } from './step.ts'
import { percent } from './table.ts'

export const loaderSchema = z.object({
  shape: shapeSchema,
  /** Seconds of a batch that nothing hides: each is asked for as soon as the last one is there. */
  batches: z.array(spreadSchema.extend({ name: z.string(), imagesPerSecond: z.number() })),
  step: spreadSchema,
  /** Of a step: what its two batches take to prepare, and how long it waits for them. */
  preparedShare: z.number(),
  waitedShare: z.number(),
})

type Report = z.infer<typeof loaderSchema>

const augmentations = {
  'search: crop, flip': searchPresets.cifar10.data,
  'training: crop, flip, cutout': trainPresets.cifar10.data.augmentation,
}

/** Batches in a turn: one takes less than a millisecond. */
const rounds = 50

function batches(name: string, stream: ImageSource): Contestant {
  return {
    name,
    step() {
      for (let round = 0; round < rounds; round++)
        tidy(() => {
          stream.next()
        })
    },
  }
}

function measure(settings: Settings): Report {
  const shape = shapeOf(settings)
  const { turns } = settings
  const streams = Object.entries(augmentations).map(([name, how]) => ({
    name,
    stream: randomStreams(shape, how)[0],
  }))
  const timings = takeTurns(
    streams.map(({ name, stream }) => batches(name, stream)),
    turns,
  )
  for (const { stream } of streams) stream.dispose()
  const each = timings.map((timing) => {
    const [low, high] = timing.quartiles
    const median = timing.median / rounds
    return {
      name: timing.name,
      turns: timing.turns,
      median,
      quartiles: [low / rounds, high / rounds] as const,
      imagesPerSecond: shape.batch / median,
    }
  })
  const search = withData(ourStep(shape), shape)
  const [step] = takeTurns([search], turns)
  return {
    shape,
    batches: each,
    step: spreadOf(step),
    preparedShare: (2 * each[0].median) / step.median,
    waitedShare: search.secondsWaited(step.turns) / step.median,
  }
}

function show({ shape, batches, step, preparedShare, waitedShare }: Report): Shown {
  const rows = batches.map((batch) => [
    batch.name,
    spreadText(batch, 1000),
    Math.round(batch.imagesPerSecond).toString(),
  ])
  return {
    tables: [
      {
        title: `Batches of ${shape.batch} images of 32 px, ${turnsText(batches)}`,
        columns: ['', 'ms a batch (quartiles)', 'images/s'],
        rows,
      },
    ],
    notes: [
      `A search step (${shapeText(shape)}) takes ${spreadText(step)} s. Its two batches take ${percent(preparedShare)} ` +
        `of that to prepare, on a thread beside it; it waits for them ${percent(waitedShare, 2)} of the time.`,
    ],
    charts: {},
  }
}

export const loader = defineBenchmark({
  about: 'the data loader: images a second, and its share of a search step',
  takes: ['turns', 'threads', 'channels', 'cells', 'batch', 'subspace'],
  schema: loaderSchema,
  measure,
  show,
})
