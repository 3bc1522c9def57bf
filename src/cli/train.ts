/** `ddsas train`: trains the network of a genotype, or goes on with a training. */
import { Command, Option } from 'commander'
import { DdsasError } from '../errors.ts'
import { trainPresets } from '../retrain/presets.ts'
import { runTrain, type TrainRequest, type TrainRunObserver, type TrainStart } from '../retrain/run.ts'
import { genotypeArgument, readArchitecture, spaceOption } from './genotype.ts'
import { withRanks } from './launch.ts'
import { addRunOptions, interruptible, type RunOptions, requestOf } from './options.ts'
import { runDisplay } from './run-display.ts'
import { suggestedArgument, suggesting } from './suggestions.ts'
import { describeTraining, recipeOf, trainEpochLine, trainResultLines } from './train-text.ts'

const presets = Object.keys(trainPresets)
const presetHelp = `recipe: ${presets.join(', ')} (default: cifar10)`

export function trainCommand(): Command {
  const command = new Command('train')
    .description('train the network of a genotype: weights, metrics and test error go to a run folder')
    .addArgument(genotypeArgument('[genotype]'))
    .addArgument(suggestedArgument('[preset]', presetHelp, presets))
    .addOption(suggesting(new Option('--preset <name>', 'the same'), presets))
    .addOption(spaceOption())
  return addRunOptions(command, 'runs/train-<preset>').action(trainAction)
}

async function trainAction(
  genotype: string | undefined,
  named: string | undefined,
  options: RunOptions & { readonly space?: string },
): Promise<void> {
  if (named !== undefined && options.preset !== undefined && named !== options.preset)
    throw new DdsasError('input', `two presets, ${named} and ${options.preset}: name one`)
  const preset = named ?? options.preset
  const { resume, json = false } = options
  const given = genotype === undefined ? undefined : readArchitecture(genotype, options.space)
  const parts = given && { genotype: given.architecture, space: given.space.name }
  const request: TrainRequest = { ...requestOf(options), preset, ...parts }
  const display = runDisplay(json, {
    start: (about: TrainStart) => describeTraining(about, resume !== undefined),
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
    const result = await interruptible((signal) =>
      withRanks(options, signal, (ranks) =>
        runTrain({ ...request, signal, ranks }, ranks.rank === 0 ? observer : {}),
      ),
    )
    if (result) display.result({ ...result.report, run: result.run.path, recipe })
  } finally {
    display.stop()
  }
}
