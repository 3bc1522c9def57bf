/** The chart of a benchmark: every architecture is counted, marks stand where they belong, labels stay apart and inside. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BenchmarkChart, benchmarkChart } from '../../../src/export/benchmark-chart.ts'
import { drawChart } from '../../../src/export/chart.ts'

const points = Array.from({ length: 500 }, (_, at) => ({ cost: 0.1 * (at % 10), accuracy: 10 + (at % 80) }))
const chart: BenchmarkChart = {
  title: 'All',
  subtitle: 'of them',
  costTitle: 'cost, millions',
  points,
  marked: [],
}

test('rectangles count all architectures', async () => {
  const { svg, png } = await drawChart(benchmarkChart(chart))
  const counts = [...svg.matchAll(/architectures: (\d+)/g)].map(([, count]) => Number(count))
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    500,
  )
  assert.equal(Buffer.from(png).toString('latin1', 1, 4), 'PNG')
  assert.match(svg, />cost, millions<\/text>/)
})

/** Labels with their positions in the chart: their text, x, y, once each. */
function labelsOf(svg: string): { x: number; y: number; text: string }[] {
  const pattern = /translate\((-?[\d.]+),(-?[\d.]+)\)"[^>]*fill="#d62728"[^>]*>([^<]*)<\/text>/g
  return [...svg.matchAll(pattern)].map(([, x, y, text]) => ({ x: Number(x), y: Number(y), text }))
}

test('labels of cells close to one another do not overlap, long ones are cut, all stay inside', async () => {
  const marked = Array.from({ length: 12 }, (_, at) => ({
    label: at === 0 ? 'a name that is much too long to stand in a chart' : `run ${at}`,
    cost: 0.9 * (at % 2),
    accuracy: at < 6 ? 10 : 89,
  }))
  const { svg } = await drawChart(benchmarkChart({ ...chart, marked }))
  const labels = labelsOf(svg)
  assert.equal(labels.length, 12)
  const heights = labels.map(({ y }) => y).sort((a, b) => a - b)
  for (const [at, y] of heights.entries()) {
    assert.ok(at === 0 || y - heights[at - 1] > 14, `${heights}`)
    assert.ok(y >= -15 && y <= 395)
  }
  assert.ok(labels.some(({ text }) => /^a name that .*…$/.test(text) && text.length <= 28))
})

test('one architecture alone', async () => {
  const { svg } = await drawChart(
    benchmarkChart({
      ...chart,
      points: [{ cost: 0, accuracy: 100 }],
      marked: [{ label: 'it', cost: 0, accuracy: 100 }],
    }),
  )
  assert.deepEqual(
    labelsOf(svg).map(({ text }) => text),
    ['it'],
  )
  assert.ok(!svg.includes('NaN'))
})
