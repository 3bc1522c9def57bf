/** The blocks of figures in README.md. */
import { DdsasError } from '../../src/errors.ts'
import { lengthSchema } from '../length.ts'
import { codeText, type Machine, machineText } from '../machine.ts'
import { networkSchema } from '../network-step.ts'
import type { Results } from '../results.ts'
import { rooflineSchema } from '../roofline.ts'
import { stepSchema } from '../search-step.ts'
import { type Spread, spreadText, turnsText } from '../spread.ts'
import { mebibytes, percent, tableLines } from '../table.ts'
import type { Blocks } from './blocks.ts'
import { type GpuResults, milliseconds, timingOf } from './gpu.ts'
import type { Runs, SearchRun } from './runs.ts'

export interface Measured {
  readonly results: Results
  readonly gpu: GpuResults
  readonly runs: Runs
}

/** Steps of an epoch of the preset `cifar10`, and its epochs. */
const steps = 391
const epochs = 50

export function readmeBlocks(measured: Measured): Blocks {
  return {
    'search-cost': searchCost(measured),
    step: stepLines(measured.results),
    network: networkLines(measured.results),
    searches: searchLines(measured.runs),
    training: trainingLines(measured.runs),
  }
}

/** The report of a benchmark. Throws DdsasError 'data' where there is none. */
function reportOf<Report>(
  { reports }: Results,
  name: string,
  schema: { safeParse(value: unknown): { success: true; data: Report } | { success: false } },
): Report {
  const parsed = schema.safeParse(reports[name])
  if (parsed.success) return parsed.data
  throw new DdsasError('data', `the results hold no report of '${name}'; measure it: npm run bench -- all`)
}

const where = (machine: Machine) => `${machineText(machine)}; ${codeText(machine)}`

const gibibytes = (bytes: number) => (bytes / 2 ** 30).toFixed(1)

function searchCost({ results, gpu, runs }: Measured): string[] {
  const [own] = reportOf(results, 'step', stepSchema).timings
  const [plain, graph] = ['plain, NCHW', 'ours, float32, graph'].map((name) => timingOf(gpu, name))
  const { memory } = runs.shortened
  return [
    `A step of the preset \`cifar10\` takes ${spreadText(own)} s (median and quartiles; ${where(results.machine)}): the ` +
      `${steps} steps of an epoch take ${((steps * own.median) / 60).toFixed(1)} min, those of the search ` +
      `${((epochs * steps * own.median) / 3600).toFixed(1)} h, with a measurement of accuracy after each epoch.` +
      (memory === undefined
        ? ''
        : ` The process takes ${gibibytes(memory)} GiB at its peak (${codeText(runs.shortened)}).`),
    `On one ${gpu.machine.gpu} (libtorch ${gpu.machine.libtorch}; ${codeText(gpu.machine)}; kernels of later commits were not ` +
      `run on a GPU) a step takes ${milliseconds(graph.median, 0)} ms and ${mebibytes(graph.peak)} MiB of tensors, an eager step of ` +
      `the plain supernet ${milliseconds(plain.median, 0)} ms ([bench](bench/README.md)).`,
  ]
}

/** "6.9 times (6.4 to 7.5 between the quartiles of both)". */
function fasterText(own: Spread, other: Spread): string {
  const [low, high] = [other.quartiles[0] / own.quartiles[1], other.quartiles[1] / own.quartiles[0]]
  return `${(other.median / own.median).toFixed(1)} times as fast (${low.toFixed(1)} to ${high.toFixed(1)} between quartiles)`
}

function stepLines(results: Results): string[] {
  const { timings, memoryRatio, dataShare } = reportOf(results, 'step', stepSchema)
  const [own, nchw, channelsLast] = timings
  const { floor, step } = reportOf(results, 'roofline', rooflineSchema)
  const [{ ratio }] = reportOf(results, 'length', lengthSchema).series
  const [from, to] = ratio.of
  return [
    ...tableLines({
      title: `${where(results.machine)}; medians of ${turnsText(timings)}:`,
      columns: ['', 'seconds a step (quartiles)', 'peak of tensors'],
      rows: timings.map((timing) => [
        timing.name === 'ours' ? 'this' : timing.name,
        spreadText(timing),
        `${mebibytes(timing.peak)} MiB`,
      ]),
    }),
    '',
    `That is ${fasterText(own, nchw)} as plain NCHW, ${fasterText(own, channelsLast)} as channels last, with ` +
      `${memoryRatio.toFixed(2)} of the memory. By an estimate from bytes and arithmetic at the fastest that was measured of each here, ` +
      `a step takes ${floor.both.toFixed(2)} s at least unless tensors stay in the cache; measured beside it, it takes ` +
      `${(step.median / floor.both).toFixed(2)} times that (${turnsText([step])}). L = ${to} takes ${ratio.seconds.toFixed(1)} ` +
      `times as long as L = ${from} and ${ratio.bytes.toFixed(1)} times the memory, both along a straight line. Waiting for data is ` +
      `${percent(dataShare, 2)} of a step.`,
  ]
}

function networkLines(results: Results): string[] {
  const { timings, timeRatio, memoryRatio, channels, cells, batch } = reportOf(
    results,
    'network',
    networkSchema,
  )
  const [own] = timings
  return [
    `The training step of the network of \`DDSAS_cifar10\` (C = ${channels}, ${cells} cells, batch ${batch}, auxiliary head and ` +
      `drop-path) takes ${timeRatio.toFixed(2)} of the time and ${memoryRatio.toFixed(2)} of the memory of the same by ATen's ` +
      `operators in channels last: ${spreadText(own)} s (${turnsText(timings)}) and ${mebibytes(own.peak)} MiB of tensors.`,
  ]
}

function searchText({ valid, train, steps, secondsPerStep, seconds, memory, ...run }: SearchRun): string {
  const took = [
    ...(steps !== undefined && secondsPerStep !== undefined ? [`${steps} steps at ${secondsPerStep} s`] : []),
    ...(seconds !== undefined ? [`${seconds} s in all`] : []),
    ...(memory !== undefined ? [`${gibibytes(memory)} GiB of the process`] : []),
    ...(train !== undefined ? [`${percent(train)} right on the training half`] : []),
    `${percent(valid)} on validation images`,
  ]
  return `\`${run.command}\`: ${took.join(', ')} (${codeText(run)}).`
}

function searchLines({ shortened, demo }: Runs): string[] {
  return [`On real CIFAR-10, each once: ${searchText(shortened)} ${searchText(demo)}`]
}

function trainingLines({ training }: Runs): string[] {
  const { what, parameters, images, train, validation, test, secondsPerStep } = training
  const held = validation.map((share) => (100 * share).toFixed(1)).join(', ')
  return [
    `Training \`DDSAS_cifar10\` small on all of CIFAR-10 (${what}; ${parameters.toLocaleString('en')} parameters; ` +
      `${images.train.toLocaleString('en')} images to train on, ${images.validation.toLocaleString('en')} held out; otherwise the recipe), ` +
      `once (${codeText(training)}): ${percent(train.first)} of the augmented images right in the first epoch, ${percent(train.last)} ` +
      `in the last; held-out accuracy by epoch ${held} %; **test error ${percent(test.top1, 2)} top-1, ${percent(test.top5, 2)} top-5**, ` +
      `at ${secondsPerStep} s a step.`,
  ]
}
