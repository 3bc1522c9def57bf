/** `ddsas train`: trains the network of a genotype, or goes on with a training. */
import { Command } from 'commander'
import { DdsasError } from '../errors.ts'
import { trainPresets } from '../train/train-presets.ts'
import { runTrain, type TrainRequest, type TrainRunObserver } from '../train/train-run.ts'
import { genotypeHelp, readGenotype } from './genotype.ts'
import { addRunOptions, interruptible, type RunOptions, settingsOf } from './options.ts'
import { runDisplay } from './run-display.ts'
import { describeTraining, recipeOf, trainEpochLine, trainResultLines } from './train-text.ts'

const presetHelp = `recipe: ${Object.keys(trainPresets).join(', ')} (default: cifar10)`

export function trainCommand(): Command {
  const command = new Command('train')
    .description('train the network of a genotype: weights, metrics and test error go to a run folder')
    .argument('[genotype]', genotypeHelp)
    .argument('[preset]', presetHelp)
    .option('--preset <name>', 'the same')
  return addRunOptions(command).action(trainAction)
}

interface TrainOptions extends RunOptions {
  readonly preset?: string
}

async function trainAction(
  genotype: string | undefined,
  named: string | undefined,
  options: TrainOptions,
): Promise<void> {
  if (named !== undefined && options.preset !== undefined && named !== options.preset)
    throw new DdsasError('input', `two presets, ${named} and ${options.preset}: name one`)
  const preset = named ?? options.preset
  const { out, resume, data, checkpoint, takeOver, json = false } = options
  const request: TrainRequest = {
    genotype: genotype === undefined ? undefined : readGenotype(genotype),
    preset,
    settings: settingsOf(options),
    data,
    out,
    resume,
    checkpoint,
    takeOver,
  }
  const display = runDisplay(json, {
    start: describeTraining,
    epoch: trainEpochLine,
    result: trainResultLines,
  })
  let recipe = ''
  try {
    const observer: TrainRunObserver = {
      start: (about) => {
        recipe = recipeOf(about.config)
        display.start(about)
      },
      step: (step, steps) => display.step(step, steps),
      epoch: (epoch) => display.epoch(epoch),
      skip: (file, count) => display.skip(file, count),
    }
    const { run, report } = await interruptible((signal) => runTrain({ ...request, signal }, observer))
    display.result({ ...report, run: run.path, recipe })
  } finally {
    display.stop()
  }
}
