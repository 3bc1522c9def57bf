/** Drawings of a network's blocks, such as cells, as SVG and PNG, in the style of the figures of the DARTS paper. */
import type { Graph, Viz } from '@viz-js/viz'
import { z } from 'zod'
import { checkGiven, checkText } from '../checks.ts'
import { checkProgram, lookUp, type Program, type StateId } from '../nn/index.ts'
import { type CellType, cellTypes, type Genotype } from '../spaces/darts/genotype.ts'
import { parseGenotype } from '../spaces/darts/genotype-file.ts'
import { genotypeProgram } from '../spaces/darts/programs.ts'
import { type BlockView, viewBlock } from './block-view.ts'

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
  return drawing(await cellSvg(genotype, cellType))
}

/** The drawing without its PNG. */
export async function cellSvg(genotype: Genotype, cellType: CellType): Promise<string> {
  parseGenotype(genotype, 'given to drawCell', 'any')
  checkGiven(z.enum(cellTypes), cellType, 'drawCell', 'cell type')
  return blockSvg(genotypeProgram(genotype), cellType)
}

/**
 * Draws a kind of block: its inputs on the left, its states with an edge for each operation, its output on the right.
 * @throws {DdsasError} `input` for a kind that there is not, or blocks of a supernet.
 */
export async function drawBlock(program: Program, kind: string): Promise<CellDrawing> {
  checkProgram(program, 'drawBlock')
  checkText(kind, 'drawBlock', 'kind')
  return drawing(await blockSvg(program, kind))
}

async function drawing(svg: string): Promise<CellDrawing> {
  const { default: sharp } = await import('sharp')
  const png = await sharp(Buffer.from(svg), { density })
    .flatten({ background: 'white' })
    .png({ palette: true })
    .toBuffer()
  return { svg, png }
}

/** The drawing without its PNG. */
async function blockSvg(program: Program, kind: string): Promise<string> {
  const graph = blockGraph(viewBlock(program, kind))
  graphviz ??= import('@viz-js/viz').then(({ instance }) => instance())
  return (
    (await graphviz)
      .renderString(graph, { format: 'svg', engine: 'dot' })
      .replaceAll(/font-family="[^"]*"/g, `font-family="${fonts}"`)
      // In pixels instead of points: renderers do not agree on how a point scales with the density.
      .replace(/width="(\d+)pt" height="(\d+)pt"/, 'width="$1" height="$2"')
  )
}

/** Names of the graph's nodes, by what they stand for: labels, where no two are the same. */
function namesOf({ inputs, states }: BlockView): Map<StateId, string> {
  const all = [...inputs, ...states]
  const isAlone = (label: string) => all.filter((other) => other.label === label).length === 1
  return new Map(all.map(({ id, label }) => [id, isAlone(label) ? label : id]))
}

/**
 * An operation is a node of the graph, which its edge goes into and comes out of: a label that is none would be put
 * beside its own edge, where others may run through it.
 */
function blockGraph(view: BlockView): Graph {
  const { block, inputs, states } = view
  const names = namesOf(view)
  const nameOf = (id: StateId) => lookUp(names, id)
  const ways = states.flatMap(({ id, ways }) =>
    ways.map(({ from, operation }) => ({ tail: nameOf(from), head: nameOf(id), operation })),
  )
  const edges = ways.map((way) => `${way.tail}->${way.head}`)
  const operations = ways.flatMap(({ tail, head, operation }, index) => {
    if (operation === undefined) return []
    const before = edges.slice(0, index).filter((name) => name === edges[index]).length
    return [{ name: before === 0 ? edges[index] : `${edges[index]} ${before + 1}`, tail, head, operation }]
  })
  const box = ({ id, label }: (typeof inputs)[number], fillcolor: string) => {
    const name = nameOf(id)
    return { name, attributes: { fillcolor, ...(name === label ? {} : { label }) } }
  }
  return {
    graphAttributes: { rankdir: 'LR', bgcolor: 'white', pad: 0.15, nodesep: 0.35, ranksep: 0.45 },
    nodeAttributes: boxes,
    nodes: [
      ...inputs.map((input) => box(input, 'darkseagreen2')),
      ...states.map((state) => box(state, state.id === block.output ? 'palegoldenrod' : 'lightblue')),
      ...operations.map(({ name, operation: label }) => ({ name, attributes: { ...plain, label } })),
    ],
    edges: [
      ...operations.flatMap(({ name, tail, head }) => [
        { tail, head: name, attributes: { arrowhead: 'none', headport: 'w' } },
        { tail: name, head, attributes: { tailport: 'e' } },
      ]),
      ...ways.flatMap(({ tail, head, operation }) => (operation === undefined ? [{ tail, head }] : [])),
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
