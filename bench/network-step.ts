/** `network`: the training step of a published network at the recipe's size against the same by ATen's operators. */
import { z } from 'zod'
import type { ChartSpec } from '../src/export/chart.ts'
import { Network, namedParameters, Sgd } from '../src/nn/index.ts'
import { networkStep } from '../src/retrain/network-step.ts'
import { trainPresets } from '../src/retrain/presets.ts'
import { publishedGenotypes } from '../src/spaces/darts/published-genotypes.ts'
import { type NetworkShape, programOf } from '../src/spaces/network-shape.ts'
import { channelsLast, Generator, tidy, withoutKernels } from '../src/torch/index.ts'
import { defineBenchmark, type Shown } from './benchmark.ts'
import { type Contestant, takeTurns } from './measure.ts'
import type { Settings } from './settings.ts'
import { benchSpaces } from './spaces.ts'
import { spreadText, timingSchema, turnsText } from './spread.ts'
import { randomBatch } from './step.ts'
import { mebibytes } from './table.ts'

const recipe = trainPresets.cifar10

export const networkSchema = z.object({
  channels: z.number(),
  cells: z.number(),
  batch: z.number(),
  /** Our median over the other. */
  timeRatio: z.number(),
  memoryRatio: z.number(),
  timings: z.array(timingSchema),
})

type Report = z.infer<typeof networkSchema>

type Size = Pick<Report, 'channels' | 'cells' | 'batch'>

/** `how` runs a step: as it is, or without our kernels. */
function contestant(
  name: string,
  { channels, cells, batch: images }: Size,
  how: (step: () => void) => void,
): Contestant {
  const generator = new Generator(0)
  const shape: NetworkShape = {
    ...{ kind: 'cifar', genotype: publishedGenotypes.DDSAS_cifar10, auxiliary: true },
    ...{ channels, cells, classes: 10 },
  }
  const network = new Network(programOf(shape), { device: 'cpu', generator })
  const optimizer = new Sgd(namedParameters(network), recipe.weightOptimizer)
  const batch = randomBatch({ batch: images }, benchSpaces.darts.images, channelsLast, new Generator(1))
  const { loss, weightOptimizer } = recipe
  const options = {
    lr: weightOptimizer.lr,
    gradClip: weightOptimizer.gradClip,
    loss,
    dropPath: { rate: recipe.dropPath, generator },
  }
  const step = () => {
    tidy(() => networkStep(network, batch, optimizer, options).loss.item())
  }
  return { name, step: () => how(step) }
}

function measure(settings: Settings): Report {
  const { turns, networkChannels: channels, networkCells: cells, networkBatch: batch } = settings
  const size = { channels, cells, batch }
  const timings = takeTurns(
    [contestant('ours', size, (step) => step()), contestant('ATen, channels last', size, withoutKernels)],
    turns,
    1,
  )
  const [own, plain] = timings
  return { ...size, timeRatio: own.median / plain.median, memoryRatio: own.peak / plain.peak, timings }
}

function sizeText({ channels, cells, batch }: Size): string {
  return `DDSAS_cifar10, C = ${channels}, ${cells} cells, batch ${batch}, with auxiliary head and drop-path`
}

function chart(report: Report): ChartSpec {
  return {
    title: { text: 'The training step of a network', subtitle: sizeText(report) },
    data: { values: report.timings.map(({ name, median }) => ({ name, median })) },
    width: 360,
    mark: { type: 'bar', height: { band: 0.6 } },
    encoding: {
      y: { field: 'name', type: 'nominal', sort: null, title: null },
      x: { field: 'median', type: 'quantitative', title: 'seconds a step' },
      color: { field: 'name', legend: null },
    },
  }
}

function show(report: Report): Shown {
  const { timings, timeRatio, memoryRatio } = report
  return {
    tables: [
      {
        title: `The training step of ${sizeText(report)}, ${turnsText(timings)}`,
        columns: ['', 's (quartiles)', 'peak MiB'],
        rows: timings.map((timing) => [timing.name, spreadText(timing), mebibytes(timing.peak)]),
      },
    ],
    notes: [
      `Ours takes ${timeRatio.toFixed(2)} of the time and ${memoryRatio.toFixed(2)} of the memory of ATen's operators.`,
    ],
    charts: { network: chart(report) },
  }
}

export const network = defineBenchmark({
  about: 'the training step of a published network against ATen in channels last: seconds and peak memory',
  takes: ['turns', 'threads', 'networkChannels', 'networkCells', 'networkBatch'],
  schema: networkSchema,
  measure,
  show,
})
