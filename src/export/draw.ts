/** Drawings of a cell as SVG and PNG, in the style of the figures of the DARTS paper. */
import type { Graph, Viz } from '@viz-js/viz'
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { type CellType, cellTypes, type Genotype } from '../spaces/darts/genotype.ts'
import { parseGenotype } from '../spaces/darts/genotype-file.ts'

/** A drawing: the SVG text and the PNG at twice its size. */
export interface CellDrawing {
  readonly svg: string
  readonly png: Uint8Array
}

/** The fonts that a viewer looks for, in this order. */
const fonts = 'Times New Roman, Times, Liberation Serif, DejaVu Serif, serif'

/**
 * Graphviz here knows the widths of three fonts only. Laid out as Courier there is room for the widest of the fonts
 * above, DejaVu Serif; laid out as Times its labels would run into the edges.
 */
const layoutFont = 'Courier'

/** Pixels of the PNG per inch: two for each of the SVG, which has 72 per inch. */
const density = 144

/** Loading Graphviz takes a tenth of a second: once, as a dashboard draws many cells, and only where one is drawn. */
let graphviz: Promise<Viz> | undefined

/**
 * Draws the normal or the reduction cell: the two inputs c_{k-2} and c_{k-1} on the left, the nodes 0, 1, ... with an
 * edge for each operation, the output c_{k} on the right.
 */
export async function drawCell(genotype: Genotype, cellType: CellType): Promise<CellDrawing> {
  parseGenotype(genotype, 'given to drawCell', 'any')
  checkGiven(z.enum(cellTypes), cellType, 'drawCell', 'cell type')
  const svg = await cellSvg(genotype, cellType)
  const { default: sharp } = await import('sharp')
  const png = await sharp(Buffer.from(svg), { density })
    .flatten({ background: 'white' })
    .png({ palette: true })
    .toBuffer()
  return { svg, png }
}

/** The drawing without its PNG. */
export async function cellSvg(genotype: Genotype, cellType: CellType): Promise<string> {
  graphviz ??= import('@viz-js/viz').then(({ instance }) => instance())
  const laidOut = (await graphviz).renderString(cellGraph(genotype, cellType), {
    format: 'svg',
    engine: 'dot',
  })
  return (
    laidOut
      .replaceAll(/font-family="[^"]*"/g, `font-family="${fonts}"`)
      // In pixels instead of points: renderers do not agree on how a point scales with the density.
      .replace(/width="(\d+)pt" height="(\d+)pt"/, 'width="$1" height="$2"')
  )
}

/**
 * An operation is a node of the graph, which its edge goes into and comes out of: a label that is none would be put
 * beside its own edge, where others may run through it.
 */
function cellGraph(genotype: Genotype, cellType: CellType): Graph {
  const edges = genotype[cellType]
  const nodes = Array.from({ length: edges.length / 2 }, (_, node) => String(node))
  const sources = ['c_{k-2}', 'c_{k-1}', ...nodes]
  const operations = edges.map(([operation, input], index) => {
    const [tail, head] = [sources[input] ?? '', nodes[Math.floor(index / 2)] ?? '']
    return { name: `${tail}->${head}`, tail, head, operation }
  })
  return {
    graphAttributes: { rankdir: 'LR', bgcolor: 'white', pad: 0.15, nodesep: 0.35, ranksep: 0.45 },
    nodeAttributes: boxes,
    nodes: [
      ...sources.map((name, index) => node(name, index < 2 ? 'darkseagreen2' : 'lightblue')),
      node('c_{k}', 'palegoldenrod'),
      ...operations.map(({ name, operation: label }) => ({ name, attributes: { ...plain, label } })),
    ],
    edges: [
      ...operations.flatMap(({ name, tail, head }) => [
        { tail, head: name, attributes: { arrowhead: 'none', headport: 'w' } },
        { tail: name, head, attributes: { tailport: 'e' } },
      ]),
      ...genotype[`${cellType}_concat`].map((input) => ({ tail: sources[input] ?? '', head: 'c_{k}' })),
    ],
  }
}

const boxes = {
  fontname: layoutFont,
  fontsize: 20,
  // the name; without a word of it here the first drawing of a process has none
  label: '\\N',
  style: 'filled',
  shape: 'box',
  height: 0.5,
  width: 0.5,
  penwidth: 2,
  margin: '0.15,0.06',
}

const plain = { shape: 'plaintext', style: 'solid', width: 0, height: 0, margin: '0.08,0.03' }

function node(name: string, fillcolor: string) {
  return { name, attributes: { fillcolor } }
}
