/** Drawings of a cell as SVG and PNG, in the style of the figures of the DARTS paper. */
import type { Graph, Viz } from '@viz-js/viz'
import type { CellType, Genotype } from '../spaces/genotype.ts'

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
  graphviz ??= import('@viz-js/viz').then(({ instance }) => instance())
  const laidOut = (await graphviz).renderString(cellGraph(genotype, cellType), {
    format: 'svg',
    engine: 'dot',
  })
  const svg = laidOut
    .replaceAll(/font-family="[^"]*"/g, `font-family="${fonts}"`)
    // In pixels instead of points: renderers do not agree on how a point scales with the density.
    .replace(/width="(\d+)pt" height="(\d+)pt"/, 'width="$1" height="$2"')
  const { default: sharp } = await import('sharp')
  const png = await sharp(Buffer.from(svg), { density })
    .flatten({ background: 'white' })
    .png({ palette: true })
    .toBuffer()
  return { svg, png }
}

function cellGraph(genotype: Genotype, cellType: CellType): Graph {
  const edges = genotype[cellType]
  const sources = [
    'c_{k-2}',
    'c_{k-1}',
    ...Array.from({ length: edges.length / 2 }, (_, node) => String(node)),
  ]
  return {
    graphAttributes: { rankdir: 'LR', bgcolor: 'white', pad: 0.15, nodesep: 0.5, ranksep: 0.7 },
    nodeAttributes: {
      ...text,
      style: 'filled',
      shape: 'box',
      height: 0.5,
      width: 0.5,
      penwidth: 2,
      margin: '0.15,0.06',
    },
    edgeAttributes: text,
    nodes: [
      ...sources.map((name, index) => node(name, index < 2 ? 'darkseagreen2' : 'lightblue')),
      node('c_{k}', 'palegoldenrod'),
    ],
    edges: [
      ...edges.map(([operation, input], index) => ({
        tail: sources[input] ?? '',
        head: sources[2 + Math.floor(index / 2)] ?? '',
        attributes: { label: ` ${operation} ` },
      })),
      ...genotype[`${cellType}_concat`].map((input) => ({ tail: sources[input] ?? '', head: 'c_{k}' })),
    ],
  }
}

const text = { fontname: layoutFont, fontsize: 20 }

function node(name: string, fillcolor: string) {
  return { name, attributes: { fillcolor } }
}
