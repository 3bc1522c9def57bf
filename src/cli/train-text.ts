/** What a training says of itself in lines of text. */

import { resizeOf } from '../data/folder-transform.ts'
import type { TrainConfig } from '../retrain/config.ts'
import type { TrainStart } from '../retrain/run.ts'
import type { TestedEpoch, TrainEpochReport, TrainReport } from '../retrain/train.ts'
import { describeNetwork } from '../spaces/network-shape.ts'
import { counted } from '../words.ts'
import { formatDuration, percent, resumedLine } from './search-text.ts'
import { skippedPart } from './skipped.ts'

/** What a training ends with. */
export interface Trained extends TrainReport {
  /** Path of the run. */
  readonly run: string
  readonly recipe: string
}

/** What is trained, where it is written, and how to read what follows. */
export function describeTraining(
  { run, config, device, training, done, notes, warnings }: TrainStart,
  resumed: boolean,
): string[] {
  const { shape, images } = training
  const { train, validation, test } = images.counts
  const { parameters, multiplyAdds } = describeNetwork(shape, config.data.imageSize)
  const { kind, cells, channels, classes } = shape
  return [
    ...resumedLine(done, resumed),
    `training on ${counted(train, 'image')} of ${config.dataset}, ${device} with ${counted(config.threads, 'thread')}`,
    `${kind} network of ${counted(cells, 'cell')}, C = ${channels}, ${counted(classes, 'class', 'classes')}, ${config.data.imageSize} px`,
    `${counted(parameters, 'parameter')}, ${(multiplyAdds / 1e6).toFixed(1)} M multiply-adds for an image`,
    `${counted(validation, 'training image')} held out to choose the best epoch; ${counted(test, 'test image')} for the end`,
    ...warnings.map((warning) => `warning: ${warning}`),
    ...notes.map((note) => `note: ${note}; numbers may differ in rounding from an uninterrupted run`),
    `run folder: ${run.path}`,
    'Ctrl-C saves and stops; err: top-1 error; * marks the best epoch so far',
  ]
}

/** What an epoch gave. */
export function trainEpochLine(report: TrainEpochReport, epochs: number): string {
  const { epoch, train, skipped, validation, best, lr, seconds } = report
  const left = skipped + (validation?.skipped ?? 0)
  return [
    `epoch ${epoch + 1}/${epochs}`,
    `train err ${percent(1 - train.accuracy)}`,
    validation ? `valid err ${percent(validation.top1Error)}${best ? '*' : ' '}` : 'valid err -',
    `lr ${lr.toFixed(4)}`,
    ...(left > 0 ? [`skipped ${left}`] : []),
    formatDuration(seconds),
  ].join('  ')
}

/** The recipe in one line: the same cell moves by more than a point with another one. */
export function recipeOf(config: TrainConfig): string {
  const { data, weightOptimizer, loss, dropPath, epochs, network, seed } = config
  const { padding, flip, cutout, crop, jitter } = data.augmentation
  const parts = [
    `${network.kind} C=${network.channels} x ${network.cells}`,
    counted(epochs, 'epoch'),
    `batch ${data.batch}`,
    `SGD ${weightOptimizer.lr} ${weightOptimizer.schedule}${weightOptimizer.warmUp > 0 ? `, warm-up ${weightOptimizer.warmUp}` : ''}`,
    `L2 ${weightOptimizer.weightDecay}`,
    `drop-path ${dropPath}`,
    `auxiliary ${loss.auxiliary}`,
    ...(loss.smoothing > 0 ? [`smoothing ${loss.smoothing}`] : []),
    ...(config.dataset === 'folder'
      ? [`${data.imageSize} px of ${resizeOf(data)}, crop from ${crop}`, `jitter ${jitter.join(' ')}`]
      : [`padding ${padding}`, `cutout ${cutout}`]),
    ...(flip ? ['flip'] : []),
    ...(data.mean === null ? [] : [`mean ${data.mean.join(' ')}`]),
    ...(data.std === null ? [] : [`std ${data.std.join(' ')}`]),
    ...(data.images > 0 ? [counted(data.images, 'image')] : []),
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
  const tested = `${counted(test.images, 'image')}${skippedPart(test.skipped)}`
  return `${label}: ${epoch + 1}, test top-1 error ${exact(test.top1Error)}, top-5 ${exact(test.top5Error)} (${tested})${held}`
}

/** Two digits: papers compare hundredths of a percent. */
function exact(part: number): string {
  return `${(100 * part).toFixed(2)} %`
}
