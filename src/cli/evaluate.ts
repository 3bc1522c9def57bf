/** `ddsas evaluate`: the test error of a training run, or of a file of weights. */
import { join, parse, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { DdsasError } from '../errors.ts'
import { readWeightFile, shapeOfWeights, type WeightFile, type WeightNotes } from '../export/weights.ts'
import { makeFolder, removeEmpty } from '../runs/files.ts'
import { RunFolder } from '../runs/folder.ts'
import { deviceNames, resolveDevice, setThreads } from '../torch/device.ts'
import { tidy } from '../torch/index.ts'
import { scoreOf } from '../train/evaluate-network.ts'
import { evaluateWeights, type WeightsEvaluation } from '../train/evaluate-weights.ts'
import { type TrainConfig, trainConfigSchema } from '../train/train-config.ts'
import { trainPresets } from '../train/train-presets.ts'
import { readTrained, type TrainedEpoch, trainedEpochs } from '../train/trained-weights.ts'
import { writeEvaluation } from './evaluation-files.ts'
import { isRun, readGenotype } from './genotype.ts'
import { countTo } from './options.ts'
import { skippedPart, warnOfSkipped } from './skipped.ts'

interface EvaluateOptions {
  readonly genotype?: string
  readonly weights: TrainedEpoch
  readonly data?: string
  readonly dataset?: TrainConfig['dataset']
  readonly batch?: number
  readonly device: (typeof deviceNames)[number]
  readonly threads?: number
  readonly out?: string
  readonly json?: boolean
}

export function evaluateCommand(): Command {
  const device = new Option('--device <name>', 'where to compute').choices(deviceNames).default('auto')
  const datasets = trainConfigSchema.shape.dataset.options
  const which = new Option('--weights <which>', 'of a run: the last epoch or the best')
  return new Command('evaluate')
    .description('top-1 and top-5 test error, accuracy of each class and confusion matrix')
    .argument('<run|weights>', 'folder of a training run, or weights: safetensors or a PyTorch file')
    .option('--genotype <g>', 'name, run or file of the genotype, where the weights do not tell it')
    .addOption(which.choices(trainedEpochs).default(trainedEpochs[0]))
    .option('--data <dir>', 'folder with the data set (default: the one of the run, or data)')
    .addOption(new Option('--dataset <name>', 'what the data set is').choices(datasets))
    .option('--batch <n>', 'images at a time', countTo(100_000))
    .addOption(device)
    .option('--threads <n>', 'threads for one operator (default: all cores)', countTo(512))
    .option(
      '--out <dir>',
      "folder for tables and charts (default: the run's evaluation/last or best, or <weights>-evaluation)",
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
  const found = isRun(target) ? fromRun(target, options.weights) : fromFile(target)
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

function fromFile(path: string): Found {
  return { ...readWeightFile(path), source: path, out: `${parse(path).name}-evaluation` }
}

function fromRun(folder: string, which: TrainedEpoch): Found {
  const run = RunFolder.open(folder)
  const { shape, ...trained } = readTrained(run, which)
  return { ...trained, genotype: shape.genotype, out: join(run.path, 'evaluation', which) }
}

async function evaluate(
  target: string,
  { tensors, source, config: own, data, ...found }: Found,
  options: EvaluateOptions,
): Promise<WeightsEvaluation> {
  const genotype = options.genotype === undefined ? found.genotype : readGenotype(options.genotype)
  if (genotype === undefined)
    throw new DdsasError('input', `${target} does not tell its genotype; give --genotype NAME, RUN or FILE`)
  const shape = tidy(() => shapeOfWeights(tensors, genotype, target))
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
    onSkip: warnOfSkipped,
    data: options.data ?? data ?? 'data',
    device: resolveDevice(options.device),
  })
}

/** Images of the size that the weights were trained on, and normalised as those. */
function asTrained(
  { imageSide: side, normalisation }: WeightNotes,
  { data }: TrainConfig,
): Partial<TrainConfig['data']> {
  const triple = ([r, g, b]: readonly number[]): [number, number, number] => [r, g, b]
  return {
    ...(side === undefined || side === data.side ? {} : { side, resize: 0 }),
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
  console.log(`${source}: ${score.images} images${skippedPart(score.skipped)}`)
  console.log(`top-1 error ${percent(score.top1Error)}, top-5 error ${percent(score.top5Error)}`)
  console.log(`cross entropy ${score.loss.toFixed(4)}`)
  for (const warning of warnings) console.log(`warning: ${warning}`)
  for (const path of files) console.log(`written: ${path}`)
}
