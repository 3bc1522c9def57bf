/** Drawings of cells: what the SVG holds, the PNG's size and that text is drawn. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { drawCell } from '../../../src/export/draw.ts'
import type { Genotype } from '../../../src/spaces/genotype.ts'

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
  const arrows = ['c_{k-2}->0', 'c_{k-1}->0', '0->1', 'c_{k-2}->1', '1->c_{k}']
  for (const title of [...boxes, ...arrows]) assert.ok(titles.includes(title), title)
  assert.ok(!titles.includes('0->c_{k}'), 'node 0 is not concatenated')
  const labels = [...boxes, 'sep_conv_3x3', 'skip_connect', 'dil_conv_5x5', 'max_pool_3x3']
  assert.deepEqual(texts(svg, 'text').sort(), labels.sort())
  assert.match(svg, /font-family="Times New Roman, Times, Liberation Serif, DejaVu Serif, serif"/)
  assert.doesNotMatch(svg, /Courier|pt"/)
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
