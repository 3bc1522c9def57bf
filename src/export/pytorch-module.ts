/** Writes a trained network for PyTorch: one Python file to read and import, and its weights. */
import type { CellType, Genotype } from '../spaces/darts/genotype.ts'
import { counted } from '../words.ts'
import { networkSources, operationsSource } from './pytorch-source.ts'
import { writePytorchFile } from './pytorch-writer.ts'
import {
  checkGivenTrained,
  checkTrained,
  type Normalisation,
  type TrainedNetwork,
  withoutAuxiliary,
} from './trained.ts'

export interface PytorchExport {
  /** Python source that needs torch alone; it looks for the weights beside itself, under its own name with `.pt`. */
  readonly module: string
  /** A state dict that the module loads with `strict=True`. */
  readonly weights: Uint8Array
}

const lineWidth = 100

/**
 * The network in PyTorch, without its auxiliary head. The classes are named as in DARTS, the genotype is data at the top.
 * @throws {DdsasError} `checkpoint` for weights of another network; `input` for an image size the network cannot halve.
 */
export function exportPytorch(trained: TrainedNetwork): PytorchExport {
  checkGivenTrained(trained, 'exportPytorch')
  const network = withoutAuxiliary(trained)
  checkTrained(network)
  return { module: moduleSource(network), weights: writePytorchFile(network.tensors) }
}

/** The whole Python file; two blank lines stand between its parts, as is usual in Python. */
function moduleSource(network: TrainedNetwork): string {
  const { name, text } = networkSources[network.shape.kind]
  const data = [genotypeSource(network.shape.genotype), settings(network), classList(network.classNames)]
  const head = [docstring(network, name), imports, data.filter((part) => part !== '').join('\n')].join('\n')
  const parts = [head, operationsSource, text, prepare(network.normalisation), main(name)]
  return parts.filter((part) => part !== '').join('\n\n')
}

const imports = `from collections import namedtuple
from pathlib import Path

import torch
from torch import nn
`

function docstring({ shape, imageSide, normalisation }: TrainedNetwork, name: string): string {
  const images = `images [n, 3, ${imageSide}, ${imageSide}]`
  const prepared = normalisation ? `prepare(pixels)  # RGB bytes of ${images}` : `...  # normalised ${images}`
  const [cells, classes] = [counted(shape.cells, 'cell'), counted(shape.classes, 'class', 'classes')]
  return `"""A network of ${cells} for ${classes}, exported by ddsas without the auxiliary head, which only training uses.
It needs PyTorch alone:

    network = load()  # ${name} with the weights that lie beside this file
    images = ${prepared}
    classes = network(images).argmax(dim=1)
"""
`
}

function genotypeSource(genotype: Genotype): string {
  const nodes = (cell: CellType) =>
    Array.from({ length: genotype[cell].length / 2 }, (_, node) => {
      const edges = genotype[cell].slice(2 * node, 2 * node + 2)
      return `        ${edges.map(([operation, input]) => `("${operation}", ${input})`).join(', ')},  # state ${node + 2}\n`
    }).join('')
  const list = (values: readonly number[]) => `[${values.join(', ')}]`
  return `Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")

# Two edges (operation, state it reads) for each node. States 0 and 1 are the outputs of the two cells before.
GENOTYPE = Genotype(
    normal=[
${nodes('normal')}    ],
    normal_concat=${list(genotype.normal_concat)},
    reduce=[
${nodes('reduce')}    ],
    reduce_concat=${list(genotype.reduce_concat)},
)
`
}

function settings({ shape, normalisation }: TrainedNetwork): string {
  const triple = (values: readonly number[]) => `(${values.join(', ')})`
  const lines = [`CHANNELS = ${shape.channels}`, `LAYERS = ${shape.cells}`, `NUM_CLASSES = ${shape.classes}`]
  if (normalisation) lines.push(`MEAN, STD = ${triple(normalisation.mean)}, ${triple(normalisation.std)}`)
  return `${lines.join('\n')}\n`
}

/** The names as JSON strings, which are Python strings too, in lines of a usual width. */
function classList(names: readonly string[] | undefined): string {
  if (names === undefined) return ''
  const lines: string[] = []
  for (const name of names.map((text) => `${JSON.stringify(text)},`)) {
    const last = lines.at(-1)
    if (last === undefined || last.length + name.length >= lineWidth) lines.push(`    ${name}`)
    else lines[lines.length - 1] = `${last} ${name}`
  }
  return `CLASSES = [\n${lines.join('\n')}\n]\n`
}

function prepare(normalisation: Normalisation | undefined): string {
  if (normalisation === undefined) return ''
  return `def prepare(pixels):
    """RGB bytes [n, 3, h, w] -> the normalised images that the network takes."""
    mean, std = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (MEAN, STD))
    return (pixels / 255 - mean) / std
`
}

function main(name: string): string {
  return `def load(weights=Path(__file__).with_suffix(".pt")):
    network = ${name}()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), strict=True)
    return network.eval()


if __name__ == "__main__":
    print(f"{sum(p.numel() for p in load().parameters()):,} parameters")
`
}
