/** What a training says of itself in lines of text. */
import { describeNetwork } from '../spaces/describe.ts'
import { resizeOf } from '../train/images.ts'
import type { TestedEpoch, TrainEpochReport, TrainReport } from '../train/train.ts'
import type { TrainConfig } from '../train/train-config.ts'
import type { TrainStart } from '../train/train-run.ts'
import { formatDuration, percent } from './search-text.ts'
import { skippedPart } from './skipped.ts'

/** What a training ends with. */
export interface Trained extends TrainReport {
  /** Path of the run. */
  readonly run: string
  readonly recipe: string
}

/** What is trained, where it is written, and how to read what follows. */
export function describeTraining({
  run,
  config,
  device,
  training,
  done,
  notes,
  warnings,
}: TrainStart): string[] {
  const { network, images } = training
  const { train, validation, test } = images.counts
  const { parameters, multiplyAdds } = describeNetwork(network.shape, config.data.side)
  const threads = config.threads === 1 ? '1 thread' : `${config.threads} threads`
  const { kind, cells, channels, classes } = network.shape
  return [
    `${done > 0 ? `going on after step ${done}` : 'training'} on ${train} images of ${config.dataset}, ${device} with ${threads}`,
    `${kind} network of ${cells} cells, C = ${channels}, ${classes} classes, ${config.data.side} px`,
    `${parameters} parameters, ${(multiplyAdds / 1e6).toFixed(1)} M multiply-adds for an image`,
    `${validation} training images are held out to choose the best epoch; ${test} test images wait for the end`,
    ...warnings.map((warning) => `warning: ${warning}`),
    ...notes.map((note) => `note: ${note}; numbers may differ in rounding from an uninterrupted run`),
    `run folder: ${run.path}`,
    'Ctrl-C saves and stops; * marks the best epoch so far',
  ]
}

/** What an epoch gave. */
export function trainEpochLine(report: TrainEpochReport, epochs: number): string {
  const { epoch, train, skipped, validation, best, rate, seconds } = report
  const left = skipped + (validation?.skipped ?? 0)
  return [
    `epoch ${epoch + 1}/${epochs}`,
    `train ${percent(train.accuracy)}`,
    validation ? `valid ${percent(1 - validation.top1Error)}${best ? '*' : ' '}` : 'valid -',
    `lr ${rate.toFixed(4)}`,
    ...(left > 0 ? [`skipped ${left}`] : []),
    formatDuration(seconds),
  ].join('  ')
}

/** The recipe in one line: the same cell moves by more than a point with another one. */
export function recipeOf(config: TrainConfig): string {
  const { data, weights, loss, dropPath, epochs, network, seed } = config
  const { padding, flip, cutout, crop, jitter } = data.augmentation
  const parts = [
    `${network.kind} C=${network.channels} x ${network.cells}`,
    `${epochs} epochs`,
    `batch ${data.batch}`,
    `SGD ${weights.rate} ${weights.schedule}${weights.warmUp > 0 ? `, warm-up ${weights.warmUp}` : ''}`,
    `L2 ${weights.weightDecay}`,
    `drop-path ${dropPath}`,
    `auxiliary ${loss.auxiliary}`,
    ...(loss.smoothing > 0 ? [`smoothing ${loss.smoothing}`] : []),
    ...(config.dataset === 'folder'
      ? [`${data.side} px of ${resizeOf(data)}, crop from ${crop}`, `jitter ${jitter.join(' ')}`]
      : [`padding ${padding}`, `cutout ${cutout}`]),
    ...(flip ? ['flip'] : []),
    ...(data.mean === null ? [] : [`mean ${data.mean.join(' ')}`]),
    ...(data.std === null ? [] : [`std ${data.std.join(' ')}`]),
    ...(data.images > 0 ? [`${data.images} images`] : []),
    ...(config.precision === 'float32' ? [] : [config.precision]),
    `${data.validation} held out`,
    `seed ${seed}`,
  ]
  return parts.join(', ')
}

/** The final report: last and best epoch apart, each with its label. */
export function trainResultLines({ last, best, run, recipe }: Trained): string[] {
  return [
    '',
    testedLine('last epoch', last),
    best ? testedLine('best epoch', best) : 'best epoch: none chosen, as no images were held out',
    `recipe:     ${recipe}`,
    `run:        ${run}`,
  ]
}

function testedLine(label: string, { epoch, validation, test }: TestedEpoch): string {
  const held = validation ? `, held-out top-1 error ${percent(validation.top1Error)}` : ''
  const tested = `${test.images} images${skippedPart(test.skipped)}`
  return `${label}: ${epoch + 1}, test top-1 error ${exact(test.top1Error)}, top-5 ${exact(test.top5Error)} (${tested})${held}`
}

/** Two digits: papers compare hundredths of a percent. */
function exact(part: number): string {
  return `${(100 * part).toFixed(2)} %`
}
