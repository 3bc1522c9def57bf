/** Writes a trained network for PyTorch: one Python file to read and import, and its weights. */
import { namedLayers, type Program } from '../nn/index.ts'
import { programOf, spaceOf } from '../spaces/network-shape.ts'
import { counted } from '../words.ts'
import { lineWidth, quoted, wrapped } from './python-text.ts'
import { exportedPart, networkClasses, networkName } from './pytorch-network.ts'
import { writePytorchFile } from './pytorch-writer.ts'
import { checkGivenTrained, checkTrained, type TrainedNetwork, withoutAuxiliary } from './trained.ts'

export interface PytorchExport {
  /** Python source that needs torch alone; it looks for the weights beside itself, under its own name with `.pt`. */
  readonly module: string
  /** A state dict that the module loads with `strict=True`. */
  readonly weights: Uint8Array
}

/** What a Python file says of a network beside what it computes. */
export interface PytorchNotes extends Pick<TrainedNetwork, 'imageSide' | 'normalisation' | 'classNames'> {
  /** What the network is: `A network of 20 cells for 10 classes`. */
  readonly title: string
  /** The architecture as its space writes it. */
  readonly architecture?: string
}

/**
 * The network in PyTorch, without its auxiliary head: a class for each operation and each kind of cell.
 * @throws {DdsasError} `checkpoint` for weights of another network; `input` for an image size the network cannot halve, or a
 * layer that PyTorch does not have.
 */
export function exportPytorch(trained: TrainedNetwork): PytorchExport {
  checkGivenTrained(trained, 'exportPytorch')
  const network = withoutAuxiliary(trained)
  checkTrained(network)
  const { shape, tensors } = network
  const [cells, classes] = [counted(shape.cells, 'cell'), counted(shape.classes, 'class', 'classes')]
  const title = `A network of ${cells} for ${classes}`
  const architecture = spaceOf(shape).format(shape.genotype)
  return pytorchFiles(programOf(shape), tensors, { ...network, title, architecture })
}

/**
 * The same for a program and its weights by name, those of the auxiliary head or others.
 * @throws {DdsasError} `input` for a supernet, or a layer or name that PyTorch does not have.
 */
export function pytorchFiles(
  program: Program,
  tensors: TrainedNetwork['tensors'],
  notes: PytorchNotes,
): PytorchExport {
  const part = exportedPart(program)
  const names = new Set(namedLayers(part).map(({ name }) => name))
  const own = [...tensors].filter(([name]) => names.has(name.slice(0, name.lastIndexOf('.'))))
  return { module: moduleSource(part, notes), weights: writePytorchFile(own) }
}

/** Names that the file has beside those of its classes. */
const taken = ['ARCHITECTURE', 'CLASSES', 'MEAN', 'STD', 'Path', 'load', 'nn', 'prepare', 'torch']

/** The whole Python file; two blank lines stand between its parts, as is usual in Python. */
function moduleSource(program: Program, notes: PytorchNotes): string {
  const data = [...architectureLines(notes), ...normalisationLines(notes), ...classList(notes)]
  const head = [...docstring(notes), '', ...imports, ...(data.length > 0 ? ['', ...data] : [])]
  const parts = [head, ...networkClasses(program, taken), ...prepare(notes), load, main]
  return `${parts.map((lines) => lines.join('\n')).join('\n\n\n')}\n`
}

const imports = ['from pathlib import Path', '', 'import torch', 'from torch import nn']

function docstring({ title, imageSide, normalisation }: PytorchNotes): string[] {
  const images = `images [n, 3, ${imageSide}, ${imageSide}]`
  const prepared = normalisation ? `prepare(pixels)  # RGB bytes of ${images}` : `...  # normalised ${images}`
  const text = `"""${title}, exported by ddsas without the auxiliary head, which only training uses. It needs PyTorch alone:`
  return [
    ...wrapped(text.split(' '), lineWidth),
    '',
    `    network = load()  # ${networkName} with the weights that lie beside this file`,
    `    images = ${prepared}`,
    '    classes = network(images).argmax(dim=1)',
    '"""',
  ]
}

/** As a text that programs can read back, in several lines. */
function architectureLines({ architecture }: PytorchNotes): string[] {
  if (architecture === undefined) return []
  const lines = wrapped(architecture.split(' '), lineWidth - 10)
  const strings = lines.map((line, index) => `    ${quoted(index < lines.length - 1 ? `${line} ` : line)}`)
  return ['ARCHITECTURE = (', ...strings, ')']
}

function normalisationLines({ normalisation }: PytorchNotes): string[] {
  if (normalisation === undefined) return []
  const [mean, std] = [normalisation.mean, normalisation.std].map((values) => `(${values.join(', ')})`)
  return [`MEAN, STD = ${mean}, ${std}`]
}

/** The names as JSON strings, which are Python strings too, in lines of a usual width. */
function classList({ classNames }: PytorchNotes): string[] {
  if (classNames === undefined) return []
  const lines = wrapped(
    classNames.map((name) => `${quoted(name)},`),
    lineWidth - 4,
  )
  return ['CLASSES = [', ...lines.map((line) => `    ${line}`), ']']
}

function prepare({ normalisation }: PytorchNotes): string[][] {
  if (normalisation === undefined) return []
  return [
    [
      'def prepare(pixels):',
      '    """RGB bytes [n, 3, h, w] -> the normalised images that the network takes."""',
      '    mean, std = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (MEAN, STD))',
      '    return (pixels / 255 - mean) / std',
    ],
  ]
}

const load = [
  'def load(weights=Path(__file__).with_suffix(".pt")):',
  `    network = ${networkName}()`,
  '    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), strict=True)',
  '    return network.eval()',
]

const main = [
  'if __name__ == "__main__":',
  '    print(f"{sum(p.numel() for p in load().parameters()):,} parameters")',
]
