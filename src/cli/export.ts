/** `ddsas export`: the network of a run or of a weight file for ONNX Runtime, PyTorch, or as safetensors. */
import { dirname, join, parse, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { cifarLayouts, imageSize } from '../data/cifar-layout.ts'
import { imagenetEvaluation } from '../data/image-transform.ts'
import { DdsasError } from '../errors.ts'
import { exportOnnx, type OnnxInput, onnxInputs } from '../export/onnx.ts'
import { exportPytorch } from '../export/pytorch-module.ts'
import type { TrainedNetwork } from '../export/trained.ts'
import {
  exportSafetensors,
  readWeightFile,
  shapeOfWeights,
  type WeightFile,
  type WeightNotes,
} from '../export/weights.ts'
import { readTrained, type TrainedEpoch, trainedEpochs } from '../retrain/trained-weights.ts'
import { makeFolder, writeFileAtomic } from '../runs/files.ts'
import { RunFolder } from '../runs/folder.ts'
import { spaceOf, usualImageSides } from '../spaces/network-shape.ts'
import { tidy } from '../torch/index.ts'
import { genotypeOption, isRun } from './genotype.ts'
import { architectureOf, checkpointOption, refuseCheckpoint, withStep } from './trained-options.ts'

/** What `--to` takes, and how the files are called. */
const extensions = { onnx: '.onnx', pytorch: '.py', safetensors: '.safetensors' } as const
type Format = keyof typeof extensions

/** What is known of the images that a network was trained on by the name of their data set. */
const datasets: Readonly<Record<string, Omit<WeightNotes, 'genotype'>>> = {
  cifar10: {
    imageSide: imageSize,
    normalisation: cifarLayouts.cifar10,
    classNames: cifarLayouts.cifar10.classes,
  },
  cifar100: {
    imageSide: imageSize,
    normalisation: cifarLayouts.cifar100,
    classNames: cifarLayouts.cifar100.classes,
  },
  imagenet: { imageSide: imagenetEvaluation.size, normalisation: imagenetEvaluation },
}

interface ExportOptions {
  readonly to: Format
  readonly weights: TrainedEpoch
  readonly checkpoint?: number
  readonly genotype?: string
  readonly dataset?: string
  readonly imageSide?: number
  readonly input: OnnxInput
  readonly out?: string
  readonly json?: boolean
}

/** The command. `print` receives what goes to standard output. */
export function exportCommand(print: (text: string) => void = (text) => process.stdout.write(text)): Command {
  return new Command('export')
    .description('write a trained network for other programs')
    .argument('<run|weights>', 'folder of a training run, or its weights: safetensors or a PyTorch file')
    .addOption(
      new Option('--to <format>', 'format to write').choices(Object.keys(extensions)).makeOptionMandatory(),
    )
    .addOption(
      new Option('--weights <which>', 'of a run: the last epoch or the best')
        .choices(trainedEpochs)
        .default(trainedEpochs[0]),
    )
    .addOption(checkpointOption())
    .addOption(genotypeOption())
    .addOption(new Option('--dataset <name>', 'images it was trained on').choices(Object.keys(datasets)))
    .option('--image-side <px>', 'height and width of its images', wholeNumber)
    .addOption(
      new Option('--input <kind>', 'what an ONNX model takes').choices(onnxInputs).default(onnxInputs[0]),
    )
    .option('--out <file>', "file to write (default: in the run's export/, or in the current folder)")
    .option('--json', 'print the result as JSON')
    .action((target: string, options: ExportOptions) => tidy(() => runExport(target, options, print)))
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text)
  throw new DdsasError('input', `--image-side ${text}: give a whole number of pixels`)
}

function runExport(target: string, options: ExportOptions, print: (text: string) => void): void {
  const found = isRun(target) ? findInRun(target, options) : findInFile(target, options)
  const trained = describe(target, found, options)
  const out = resolve(options.out ?? `${found.out}${extensions[options.to]}`)
  const files = filesOf(trained, options, out)
  for (const path of Object.keys(files))
    if (path === resolve(target))
      throw new DdsasError('input', `${path} is what is exported; choose another --out`)
  makeFolder(dirname(out))
  for (const [path, content] of Object.entries(files)) writeFileAtomic(path, content)
  const paths = Object.keys(files)
  const auxiliary = options.to === 'safetensors' && trained.shape.auxiliary
  const head = auxiliary ? 'with the auxiliary head' : 'without the auxiliary head, which only training uses'
  print(
    options.json
      ? `${JSON.stringify({ files: paths, auxiliary })}\n`
      : `${paths.map((path) => `written: ${path}\n`).join('')}${head}\n`,
  )
}

/** Weights with what is known beside them, and where their export goes unless told otherwise, without the extension. */
type Found = WeightFile & { readonly out: string }

function findInRun(folder: string, { weights, checkpoint }: ExportOptions): Found {
  const run = RunFolder.open(folder)
  const { shape, ...trained } = readTrained(run, weights, checkpoint)
  const out = join(run.path, 'export', withStep('network', checkpoint))
  return { ...trained, space: spaceOf(shape).name, genotype: shape.genotype, out }
}

function findInFile(path: string, { checkpoint }: ExportOptions): Found {
  refuseCheckpoint(path, checkpoint)
  return { ...readWeightFile(path), out: parse(path).name }
}

/** Everything about the network: from the command line, else from the weights, else as the published network is. */
function describe(target: string, found: Found, options: ExportOptions): TrainedNetwork {
  const { space, architecture } = architectureOf(target, found, options.genotype)
  const shape = shapeOfWeights(found.tensors, architecture, target, space)
  const { imageSide, normalisation, classNames } = {
    ...found,
    ...(options.dataset === undefined ? {} : datasets[options.dataset]),
  }
  return {
    shape,
    source: target,
    tensors: found.tensors,
    imageSide: options.imageSide ?? imageSide ?? usualImageSides[shape.kind],
    normalisation,
    classNames,
  }
}

/** The content of each file to write, by its path; the weights before the Python file that reads them. */
function filesOf(
  trained: TrainedNetwork,
  options: ExportOptions,
  out: string,
): Record<string, string | Uint8Array> {
  if (options.to === 'onnx') return { [out]: exportOnnx(trained, options.input) }
  if (options.to === 'safetensors') return { [out]: exportSafetensors(trained) }
  if (!out.endsWith(extensions.pytorch))
    throw new DdsasError(
      'input',
      `--out ${out}: give a name that ends in .py; the weights go beside it, in .pt`,
    )
  const { module, weights } = exportPytorch(trained)
  return { [`${out.slice(0, -extensions.pytorch.length)}.pt`]: weights, [out]: module }
}
