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
  type SupernetOptions,
} from 'ddsas'

const candidates = ['none', 'max_pool_3x3', 'sep_conv_3x3', 'sep_conv_5x5']
const rows = 3
const cell: ChoiceGroup = { name: 'cell', rows, candidates, none: 0, run: 'sampled' }

/** The terms into a row: every candidate in a supernet, one in a network. */
type TermsOf = (row: number, name: string, input: string) => nn.Term[]

function program({ channels, cells, classes }: SupernetOptions, termsOf: TermsOf): nn.Program {
  const states: nn.State[] = []
  const blocks: nn.Block[] = []
  const add = (id: string, input: string, name: string, layers: nn.Sequence) =>
    states.push({ id, kind: 'layers', input, name, layers })
  add(
    'stem',
    nn.images,
    'stem',
    nn.sequential('', [nn.conv2d(3, channels, 3), nn.batchNorm2d(channels, true)]),
  )
  let input = 'stem'
  for (let index = 0; index < cells; index++) {
    const block = `cells.${index}`
    let last = input
    for (let row = 0; row < rows; row++) {
      const terms = termsOf(row, `${block}.ops.${row}`, last)
      last = `${block}/${row}`
      states.push({ id: last, block, label: String(row), kind: 'sum', terms })
    }
    const beside = [input, last].map((from) => ({ input: from, name: '', layers: [], operation: 'identity' }))
    states.push({ id: block, block, label: 'out', kind: 'sum', terms: beside })
    blocks.push({ name: block, kind: cell.name, output: block })
    input = block
  }
  const mean = [nn.functional(nn.globalAvgPool2d), nn.functional(nn.flatten)]
  add('logits', input, 'classifier', [...mean, { name: '', layer: nn.linear(channels, classes) }])
  return { states, blocks, outputs: { logits: 'logits' }, modules: ['stem', 'cells', 'classifier'] }
}

const term = (
  operation: string,
  channels: number,
  affine: boolean,
  name: string,
  input: string,
): nn.Term => ({
  ...{ input, name, operation },
  layers: darts.operations[operation]({ channels, stride: 1, affine }),
})

export const space: SearchSpace<RowArchitecture> = {
  name: 'chain',
  defaults: { channels: 16, cells: 6 },
  choices: [cell],
  supernet: (size) =>
    program(size, (row, name, input) =>
      candidates.map((operation, column) => ({
        ...term(operation, size.channels, false, `${name}.${column}`, input),
        choice: { group: cell.name, row, column },
      })),
    ),
  network: (architecture, size) =>
    program(size, (row, name, input) => [term(architecture.cell[row], size.channels, true, name, input)]),
  ...onePerRow([cell]),
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(await runSearch({ preset: 'demo', space }))
}
