/** `ddsas evaluate`: the test error of a training run, or of a file of weights. */
import { join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { readWeightFile, shapeOfWeights, type WeightFile, type WeightNotes } from '../export/weights.ts'
import { type TrainConfig, trainConfigSchema } from '../retrain/config.ts'
import { scoreOf } from '../retrain/evaluate-network.ts'
import { evaluateWeights, type WeightsEvaluation } from '../retrain/evaluate-weights.ts'
import { trainPresets } from '../retrain/presets.ts'
import { readTrained, type TrainedEpoch, trainedEpochs } from '../retrain/trained-weights.ts'
import { makeFolder, removeEmpty } from '../runs/files.ts'
import { RunFolder } from '../runs/folder.ts'
import { spaceOf } from '../spaces/network-shape.ts'
import { resolveDevice, setThreads } from '../torch/device.ts'
import { tidy } from '../torch/index.ts'
import { counted } from '../words.ts'
import { writeEvaluation } from './evaluation-files.ts'
import { genotypeOption, isRun } from './genotype.ts'
import { countTo, deviceOption, threadsOption } from './options.ts'
import { skippedPart, warnOfSkipped } from './skipped.ts'
import { architectureOf, checkpointOption, refuseCheckpoint, withStep } from './trained-options.ts'

interface EvaluateOptions {
  readonly genotype?: string
  readonly weights: TrainedEpoch
  readonly checkpoint?: number
  readonly data?: string
  readonly dataset?: TrainConfig['dataset']
  readonly batch?: number
  readonly device?: string
  readonly threads?: number
  readonly out?: string
  readonly json?: boolean
}

export function evaluateCommand(): Command {
  const datasets = trainConfigSchema.shape.dataset.options
  const which = new Option('--weights <which>', 'of a run: the last epoch or the best')
  return new Command('evaluate')
    .description('top-1 and top-5 test error, accuracy of each class and confusion matrix')
    .argument('<run|weights>', 'folder of a training run, or weights: safetensors or a PyTorch file')
    .addOption(genotypeOption())
    .addOption(which.choices(trainedEpochs).default(trainedEpochs[0]))
    .addOption(checkpointOption())
    .option('--data <dir>', 'folder with the data set (default: the one of the run, or data)')
    .addOption(new Option('--dataset <name>', 'what the data set is').choices(datasets))
    .option('--batch <n>', 'images at a time', countTo(100_000))
    .addOption(deviceOption())
    .addOption(threadsOption())
    .option(
      '--out <dir>',
      "folder for tables and charts (default: the run's evaluation/last or best; beside a file, its name with -evaluation)",
    )
    .option('--json', 'print the result as JSON')
    .action(evaluateAction)
}

/** Weights with what is known beside them. */
interface Found extends WeightFile {
  readonly source: string
  readonly out: string
  /** Of the run they are from. */
  readonly config?: TrainConfig | undefined
  readonly data?: string | undefined
}

async function evaluateAction(target: string, options: EvaluateOptions): Promise<void> {
  const found = isRun(target) ? fromRun(target, options) : fromFile(target, options)
  const tensors = [...found.tensors.values()]
  const out = resolve(options.out ?? found.out)
  // before what may take long: a folder that cannot be made is known now
  const made = makeFolder(out)
  try {
    const evaluation = await evaluate(target, found, options)
    const files = await writeEvaluation(out, evaluation)
    printResult(found.source, evaluation, files, options.json === true)
  } catch (error) {
    removeEmpty(made)
    throw error
  } finally {
    for (const tensor of tensors) tensor.dispose()
  }
}

/** Beside the weights, by all of their name: `x.pt` and `x.safetensors` may be different ones. */
function fromFile(path: string, { checkpoint }: EvaluateOptions): Found {
  refuseCheckpoint(path, checkpoint)
  return { ...readWeightFile(path), source: path, out: `${path}-evaluation` }
}

function fromRun(folder: string, { weights, checkpoint }: EvaluateOptions): Found {
  const run = RunFolder.open(folder)
  const { shape, ...trained } = readTrained(run, weights, checkpoint)
  const out = join(run.path, 'evaluation', withStep(weights, checkpoint))
  return { ...trained, space: spaceOf(shape).name, genotype: shape.genotype, out }
}

async function evaluate(
  target: string,
  { tensors, source, config: own, data, ...found }: Found,
  options: EvaluateOptions,
): Promise<WeightsEvaluation> {
  const { space, architecture } = architectureOf(target, found, options.genotype)
  const shape = tidy(() => shapeOfWeights(tensors, architecture, target, space))
  const base = own ?? (shape.kind === 'imagenet' ? trainPresets.imagenet : trainPresets.cifar10)
  const guessed =
    own?.dataset ?? (shape.classes === 100 && shape.kind === 'cifar' ? 'cifar100' : base.dataset)
  const config: TrainConfig = {
    ...base,
    dataset: options.dataset ?? guessed,
    data: { ...base.data, ...asTrained(found, base) },
    evaluation: { batch: options.batch ?? base.evaluation.batch },
  }
  setThreads(options.threads ?? config.threads)
  return evaluateWeights({
    shape,
    tensors,
    source,
    config,
    classNames: found.classNames,
    onSkip: (file, count) => warnOfSkipped(file, count, options.json),
    data: options.data ?? data ?? 'data',
    device: resolveDevice(options.device ?? 'auto'),
  })
}

/** Images of the size that the weights were trained on, and normalised as those. */
function asTrained(
  { imageSide: side, normalisation }: WeightNotes,
  { data }: TrainConfig,
): Partial<TrainConfig['data']> {
  const triple = ([r, g, b]: readonly number[]): [number, number, number] => [r, g, b]
  return {
    ...(side === undefined || side === data.imageSize ? {} : { imageSize: side, resize: 0 }),
    ...(normalisation ? { mean: triple(normalisation.mean), std: triple(normalisation.std) } : {}),
  }
}

function printResult(
  source: string,
  evaluation: WeightsEvaluation,
  files: readonly string[],
  json: boolean,
): void {
  const score = scoreOf(evaluation)
  const { warnings } = evaluation
  if (json) {
    console.log(JSON.stringify({ source, ...score, warnings, files }))
    return
  }
  const percent = (part: number) => `${(100 * part).toFixed(2)} %`
  console.log(`${source}: ${counted(score.images, 'image')}${skippedPart(score.skipped)}`)
  console.log(`top-1 error ${percent(score.top1Error)}, top-5 error ${percent(score.top5Error)}`)
  console.log(`cross entropy ${score.loss.toFixed(4)}`)
  for (const warning of warnings) console.log(`warning: ${warning}`)
  for (const path of files) console.log(`written: ${path}`)
}
