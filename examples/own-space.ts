/** A space of one's own: cells of three operations one after the other, beside which the cell's input passes on. */
import { pathToFileURL } from 'node:url'
import {
  type ChoiceGroup,
  darts,
  nn,
  onePerRow,
  type RowArchitecture,
  runSearch,
  type SearchSpace,
} from 'ddsas'

const { none, sep_conv_3x3, sep_conv_5x5, max_pool_3x3 } = darts.operations
const operations = { none, max_pool_3x3, sep_conv_3x3, sep_conv_5x5 }
const candidates = Object.keys(operations)
const rows = 3
const cell: ChoiceGroup = { name: 'cell', rows, candidates, none: 0, run: 'sampled' }

/** What stands in a row of a cell: every candidate in a supernet, one in a network. */
type Row = (row: number, channels: number, name: string, input: string) => nn.Term[]

interface Size {
  readonly channels: number
  readonly cells: number
  readonly classes: number
}

/** A stem, cells with as many channels, halved images in the middle, a classifier. */
function program({ channels, cells, classes }: Size, termsOf: Row): nn.Program {
  const stem = nn.sequential('', [nn.conv2d(3, channels, 3), nn.batchNorm2d(channels, true)])
  const states: nn.State[] = [{ id: 'stem', kind: 'layers', input: nn.images, name: 'stem', layers: stem }]
  const blocks: nn.Block[] = []
  let input = 'stem'
  for (let index = 0; index < cells; index++) {
    const name = `cells.${index}`
    const halves = index === Math.floor(cells / 2)
    const layers = nn.sequential('', [nn.relu, nn.conv2d(channels, channels, 3, { stride: halves ? 2 : 1 })])
    states.push({
      id: `${name}/in`,
      block: name,
      label: 'in',
      kind: 'layers',
      input,
      name: `${name}.enter`,
      layers,
    })
    let last = `${name}/in`
    for (let row = 0; row < rows; row++) {
      const terms = termsOf(row, channels, `${name}.ops.${row}`, last)
      last = `${name}/${row}`
      states.push({ id: last, block: name, label: String(row), kind: 'sum', terms })
    }
    const beside = [`${name}/in`, last].map((from) => ({
      input: from,
      name: '',
      layers: [],
      operation: 'identity',
    }))
    states.push({ id: name, block: name, label: 'out', kind: 'sum', terms: beside })
    blocks.push({ name, kind: 'cell', output: name })
    input = name
  }
  const head = [nn.functional(nn.globalAvgPool2d), nn.functional(nn.flatten)]
  const layers = [...head, { name: '', layer: nn.linear(channels, classes) }]
  states.push({ id: 'logits', kind: 'layers', input, name: 'classifier', layers })
  return { states, blocks, outputs: { logits: 'logits' }, modules: ['stem', 'cells', 'classifier'] }
}

function term(operation: string, channels: number, affine: boolean, name: string, input: string): nn.Term {
  return { input, name, operation, layers: darts.operations[operation]({ channels, stride: 1, affine }) }
}

export const space: SearchSpace<RowArchitecture> = {
  name: 'chain',
  defaults: { channels: 16, cells: 6 },
  choices: [cell],
  supernet: (size) =>
    program(size, (row, channels, name, input) =>
      candidates.map((operation, column) => ({
        ...term(operation, channels, false, `${name}.${column}`, input),
        choice: { group: cell.name, row, column },
      })),
    ),
  network: (architecture, size) =>
    program(size, (row, channels, name, input) => [
      term(architecture.cell[row], channels, true, name, input),
    ]),
  ...onePerRow([cell]),
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { run, architecture } = await runSearch({ preset: 'demo', space })
  console.log(`${JSON.stringify(architecture)}\nin ${run.path}`)
}
