/** Charts: what the SVG holds, the size of the PNG, and that text is drawn. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { type ChartSpec, drawChart } from '../../../src/export/chart.ts'

const spec: ChartSpec = {
  title: { text: 'Cost <of> a step' },
  width: 200,
  height: 100,
  data: {
    values: [
      { name: 'a name that is much longer than vega-lite would leave it by itself & odd', seconds: 1 },
      { name: 'b', seconds: 3 },
    ],
  },
  mark: 'bar',
  encoding: {
    y: { field: 'name', type: 'nominal', title: null },
    x: { field: 'seconds', type: 'quantitative', title: 'seconds a step' },
  },
}

test('the SVG holds titles and whole names, and the same chart is drawn the same again', async () => {
  const { svg } = await drawChart(spec)
  assert.match(svg, /Cost &lt;of&gt; a step/)
  assert.match(svg, /seconds a step/)
  assert.match(svg, /longer than vega-lite would leave it by itself &amp; odd/)
  assert.match(svg, /font-family="Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"/)
  assert.equal((await drawChart(spec)).svg, svg)
})

test('the bars are as long as their values', async () => {
  const { svg } = await drawChart(spec)
  const bars = [...svg.matchAll(/aria-roledescription="bar" d="M0,[\d.]+h([\d.]+)v/g)].map(([, width]) =>
    Number(width),
  )
  assert.equal(bars.length, 2)
  assert.ok(Math.abs(bars[1] / bars[0] - 3) < 0.01, bars.join())
})

test('the PNG has twice the size, a white ground, and its bars', async () => {
  const { svg, png } = await drawChart(spec)
  const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(svg) ?? []
  const { data, info } = await sharp(png)
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  assert.deepEqual([info.width, info.height], [2 * Number(width), 2 * Number(height)])
  assert.equal(data.toString('hex', 0, 3), 'ffffff')
  let blue = 0
  for (let at = 0; at < data.length; at += info.channels)
    if (data.toString('hex', at, at + 3) === '4c78a8') blue += 1
  assert.ok(blue > 1000, `${blue} pixels of the bars`)
})
