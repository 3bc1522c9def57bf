/** Drawings of cells: what the SVG holds, that no edge runs through a label, the PNG's size and that text is drawn. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import sharp from 'sharp'
import { DdsasError } from '../../../src/errors.ts'
import { cellSvg, drawBlock, drawCell } from '../../../src/export/draw.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { cellTypes, type Genotype, type GenotypeEdge } from '../../../src/spaces/darts/genotype.ts'
import { publishedGenotypes } from '../../../src/spaces/darts/published-genotypes.ts'
import { shownNetwork } from '../../../src/spaces/network-shape.ts'
import { oddPrograms } from './odd-programs.ts'
import { residualProgram, sixEdgeProgram, sixOperations } from './programs.ts'

const genotype: Genotype = {
  normal: [
    ['sep_conv_3x3', 0],
    ['skip_connect', 1],
    ['dil_conv_5x5', 2],
    ['max_pool_3x3', 0],
  ],
  normal_concat: [3],
  reduce: [
    ['avg_pool_3x3', 0],
    ['avg_pool_3x3', 1],
  ],
  reduce_concat: [2],
}

/** Contents of all elements of a name, in order. */
function texts(svg: string, element: string): string[] {
  const found = svg.matchAll(new RegExp(`<${element}[^>]*>([^<]*)</${element}>`, 'g'))
  return Array.from(found, (match) =>
    (match[1] ?? '').replaceAll('&#45;', '-').replaceAll('&gt;', '>').trim(),
  )
}

test('the SVG holds the boxes, an edge for each operation and for each node that is concatenated', async () => {
  const { svg } = await drawCell(genotype, 'normal')
  const titles = texts(svg, 'title')
  const boxes = ['c_{k-2}', 'c_{k-1}', '0', '1', 'c_{k}']
  const operations = ['c_{k-2}->0', 'c_{k-1}->0', '0->1', 'c_{k-2}->1']
  const arrows = operations.flatMap((name) => [
    `${name.split('->')[0]}->${name}:w`,
    `${name}:e->${name.split('->')[1]}`,
  ])
  for (const title of [...boxes, ...operations, ...arrows, '1->c_{k}'])
    assert.ok(titles.includes(title), title)
  assert.ok(!titles.includes('0->c_{k}'), 'node 0 is not concatenated')
  const labels = [...boxes, 'sep_conv_3x3', 'skip_connect', 'dil_conv_5x5', 'max_pool_3x3']
  assert.deepEqual(texts(svg, 'text').sort(), labels.sort())
  assert.match(svg, /font-family="Times New Roman, Times, Liberation Serif, DejaVu Serif, serif"/)
  assert.doesNotMatch(svg, /Courier|pt"/)
})

interface Box {
  readonly name: string
  readonly x: readonly [number, number]
  readonly y: readonly [number, number]
}

/** Where the operations' names stand: as wide as the widest font that may draw them. */
function labelBoxes(svg: string): Box[] {
  const nodes = svg.matchAll(
    /class="node">\n<title>([^<]*)<\/title>\n<text[^>]* x="([-\d.]+)" y="([-\d.]+)"[^>]*>([^<]*)</g,
  )
  return [...nodes].map(([, name = '', x, y, text = '']) => ({
    name,
    x: [Number(x) - 6 * text.length, Number(x) + 6 * text.length],
    y: [Number(y) - 15, Number(y) + 5],
  }))
}

/** Points along the curves of every edge. */
function edgePoints(svg: string): { readonly name: string; readonly points: readonly [number, number][] }[] {
  const edges = svg.matchAll(/class="edge">\n<title>([^<]*)<\/title>\n<path[^>]* d="M([^"]*)"/g)
  return [...edges].map(([, name = '', path = '']) => {
    const at = [...path.matchAll(/([-\d.]+),([-\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)] as const)
    const points: [number, number][] = []
    for (let first = 0; first + 3 < at.length; first += 3)
      for (let t = 0; t <= 1; t += 1 / 64) points.push(bezier(at.slice(first, first + 4), t))
    return { name, points }
  })
}

function bezier(control: readonly (readonly [number, number])[], t: number): [number, number] {
  const weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t ** 2 * (1 - t), t ** 3]
  const along = (axis: 0 | 1) =>
    weights.reduce((sum, w, k) => sum + w * (control[k]?.[axis] ?? Number.NaN), 0)
  return [along(0), along(1)]
}

async function assertLegible(cell: Genotype, names: number): Promise<void> {
  for (const type of cellTypes) {
    const svg = await cellSvg(cell, type)
    const counts = [labelBoxes(svg).length, edgePoints(svg).length]
    assert.deepEqual(counts, [names, 2 * names + cell[`${type}_concat`].length])
    assertClear(svg, JSON.stringify(cell[type]))
  }
}

/** No edge runs through a label. */
function assertClear(svg: string, what: string): void {
  const edges = edgePoints(svg)
  for (const { name, x, y } of labelBoxes(svg))
    for (const edge of edges)
      for (const [px, py] of edge.points)
        assert.ok(
          !(px > x[0] && px < x[1] && py > y[0] && py < y[1]),
          `${edge.name} runs through the label ${name} of ${what}`,
        )
}

test('no edge runs through a label: published cells', async () => {
  for (const cell of Object.values(publishedGenotypes)) await assertLegible(cell, 8)
})

test('property: no edge runs through a label', async () => {
  const edge = (node: number) =>
    fc.tuple(
      fc.shuffledSubarray([...Array(node + 2).keys()], { minLength: 2, maxLength: 2 }),
      fc.constantFrom('sep_conv_3x3', 'skip_connect', 'max_pool_3x3'),
    )
  const edges = fc
    .tuple(...[0, 1, 2, 3].map(edge))
    .map((nodes) => nodes.flatMap(([inputs, name]) => inputs.map((input): GenotypeEdge => [name, input])))
  const concat = fc.shuffledSubarray([2, 3, 4, 5], { minLength: 1 })
  const cells = fc.record({ normal: edges, normal_concat: concat, reduce: edges, reduce_concat: concat })
  await fc.assert(
    fc.asyncProperty(cells, (cell) => assertLegible(cell, 8)),
    { numRuns: 15 },
  )
})

test('the first drawing of a process has the names in its boxes', () => {
  const code =
    "import { cellSvg } from './src/export/draw.ts'; import { publishedGenotypes } from './src/spaces/darts/published-genotypes.ts'; console.log(await cellSvg(publishedGenotypes.DARTS_V2, 'normal'))"
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    cwd: join(import.meta.dirname, '../../..'),
    encoding: 'utf8',
  })
  for (const name of ['c_{k-2}', 'c_{k-1}', '0', '3', 'c_{k}'])
    assert.ok(texts(stdout, 'text').includes(name), name)
})

test('the two cells differ, the same cell is drawn the same again', async () => {
  const [normal, reduce, again] = await Promise.all([
    drawCell(genotype, 'normal'),
    drawCell(genotype, 'reduce'),
    drawCell(genotype, 'normal'),
  ])
  assert.equal(normal.svg, again.svg)
  assert.notEqual(normal.svg, reduce.svg)
  assert.deepEqual(texts(reduce.svg, 'text').filter((label) => label === 'avg_pool_3x3').length, 2)
})

test('the PNG has twice the size, a white ground and the colours of the boxes', async () => {
  const { svg, png } = await drawCell(genotype, 'normal')
  const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(svg) ?? []
  const { data, info } = await sharp(png)
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  assert.deepEqual([info.width, info.height], [2 * Number(width), 2 * Number(height)])
  const colours = new Map<string, number>()
  for (let at = 0; at < data.length; at += info.channels) {
    const colour = data.toString('hex', at, at + 3)
    colours.set(colour, (colours.get(colour) ?? 0) + 1)
  }
  assert.equal(data.toString('hex', 0, 3), 'ffffff')
  for (const [colour, name] of [
    ['b4eeb4', 'inputs'],
    ['add8e6', 'nodes'],
    ['eee8aa', 'output'],
  ] as const) {
    assert.ok((colours.get(colour) ?? 0) > 1000, `${name} are filled with ${colour}`)
  }
})

test('labels are drawn: a machine without fonts would leave them out of the PNG', async () => {
  const long = await drawCell(genotype, 'reduce')
  const blank = long.svg.replaceAll(/<text.*<\/text>/g, '')
  const dark = async (image: Uint8Array) => (await sharp(image).greyscale().stats()).channels[0]?.sum ?? 0
  const withText = await dark(long.png)
  const without = await dark(
    await sharp(Buffer.from(blank), { density: 144 }).flatten({ background: 'white' }).png().toBuffer(),
  )
  assert.ok(without - withText > 255 * 1000, 'install a font such as DejaVu (fonts-dejavu-core)')
})

test('names with characters that mean something to SVG or Graphviz stay text', async () => {
  const odd: Genotype = {
    ...genotype,
    reduce: [
      ['<b>&"\\', 0],
      ['a->b', 1],
    ],
  }
  const { svg } = await drawCell(odd, 'reduce')
  assert.doesNotMatch(svg, /<b>/)
  assert.match(svg, /&lt;b&gt;&amp;/)
})

test('a cell is drawn as a block of its network is', async () => {
  const program = shownNetwork(dartsSpace, publishedGenotypes.GDAS_V1)
  for (const type of cellTypes)
    assert.equal((await drawBlock(program, type)).svg, (await drawCell(publishedGenotypes.GDAS_V1, type)).svg)
})

test('a cell of six edges: its input, an edge for each operation but none, the last node as its output', async () => {
  const { svg } = await drawBlock(sixEdgeProgram(), 'cell')
  const operations = sixOperations.filter((name) => name !== 'none')
  assert.deepEqual(texts(svg, 'text').sort(), ['input', '1', '2', '3', ...operations].sort())
  const edges = ['input->1', 'input->2', 'input->3', '1->3', '2->3']
  const arrows = edges.flatMap((name) => [
    `${name.split('->')[0]}->${name}:w`,
    `${name}:e->${name.split('->')[1]}`,
  ])
  assert.equal(edgePoints(svg).length, arrows.length)
  for (const title of arrows) assert.ok(texts(svg, 'title').includes(title), title)
  assertClear(svg, 'the cell of six edges')
  assert.match(svg, /fill="palegoldenrod"[^>]*>\n<text[^>]*>3</)
})

test('two ways between the same states, a state without a label, and one that only passes on', async () => {
  const { svg } = await drawBlock(residualProgram(), 'residual')
  assert.deepEqual(texts(svg, 'text').sort(), ['0', 'conv_se', 'input', 'out', 'shortcut'])
  assert.equal(edgePoints(svg).length, 5)
  const reduction = await drawBlock(sixEdgeProgram(), 'reduction')
  assert.ok(texts(reduction.svg, 'title').includes('conv_a->conv_b'))
  const odd = await drawBlock(oddPrograms.towers, 'block')
  assert.deepEqual(texts(odd.svg, 'text').sort(), ['0', 'input', 'left.0+', 'op', 'op'])
})

test('a kind of block that there is not, and those of a supernet', async () => {
  const refused = (drawn: Promise<unknown>, pattern: RegExp) =>
    assert.rejects(
      drawn,
      (error) => error instanceof DdsasError && error.kind === 'input' && pattern.test(error.message),
    )
  await refused(
    drawBlock(sixEdgeProgram(), 'normal'),
    /no blocks of the kind 'normal': it has cell, reduction/,
  )
  const supernet = dartsSpace.supernet({ channels: 4, cells: 3, classes: 10 })
  await refused(drawBlock(supernet, 'normal'), /'cells\.0\/2' belongs to a supernet, .*: show the network/)
})
