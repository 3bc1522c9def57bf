/** Charts and tables of an evaluation: what they show of the counts, and that names stay apart and off each other. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { writeEvaluation } from '../../../src/cli/evaluation-files.ts'
import { drawChart } from '../../../src/export/chart.ts'
import {
  axisNames,
  type Confusion,
  classScores,
  confusionChart,
  perClassChart,
} from '../../../src/export/evaluation-charts.ts'
import { temporaryFolder } from '../runs/temporary.ts'

/** Class i is told right `right(i)` times of ten, and else taken for the next. */
function evaluationOf(count: number, right: (label: number) => number): Confusion {
  const classes = Array.from({ length: count }, (_, label) => `class ${label}`)
  const confusion = classes.map((_, label) => {
    const row = new Int32Array(count)
    row[label] = right(label)
    row[(label + 1) % count] += 10 - right(label)
    return row
  })
  return { classes, confusion }
}

const three: Confusion = {
  classes: ['cat', 'dog', 'unseen'],
  confusion: [
    [3, 1, 0],
    [0, 6, 2],
    [0, 0, 0],
  ],
}

test('scores: parts of a class, none where there are no images', () => {
  assert.deepEqual(
    classScores(three).map(({ images, correct, accuracy }) => [images, correct, accuracy]),
    [
      [4, 3, 0.75],
      [8, 6, 0.75],
      [0, 0, undefined],
    ],
  )
})

/** What each cell says of itself: guess, class, part. */
function rects(svg: string): RegExpMatchArray[] {
  return [...svg.matchAll(/aria-label="taken for: ([^;]+); class: ([^;]+); part of the class: ([^"]+)"/g)]
}

test('the confusion matrix has a cell for each count that is not zero, with its part of the class', async () => {
  const { svg } = await drawChart(confusionChart(three))
  const cells = rects(svg).map(([, guess, name, part]) => `${name} > ${guess}: ${part}`)
  assert.deepEqual(cells.sort(), ['cat > cat: 75%', 'cat > dog: 25%', 'dog > dog: 75%', 'dog > unseen: 25%'])
  assert.match(svg, /12 images, top-1 accuracy 75\.00 %/)
  for (const count of [3, 1, 6, 2]) assert.match(svg, new RegExp(`>${count}</text>`))
})

test('a hundred classes: every name once on each axis, rows as high as a name, no numbers', async () => {
  const { svg } = await drawChart(confusionChart(evaluationOf(100, () => 7)))
  assert.equal(rects(svg).length, 200)
  for (const label of [0, 50, 99]) assert.equal(svg.split(`>class ${label}</text>`).length, 3)
  assert.ok(!svg.includes('>7</text>'))
  const rows = [
    ...svg.matchAll(
      /text-anchor="end" transform="translate\(-[\d.]+,([\d.]+)\)" [^>]*font-size="(\d+)px"[^>]*>class/g,
    ),
  ]
  assert.equal(rows.length, 100)
  const [first, second] = rows.map(([, y]) => Number(y))
  assert.ok(second - first >= Number(rows[0][2]), `${second - first} px for ${rows[0][2]} px of text`)
})

/** Where dark pixels begin and end along an axis of an image: [first, last] of each run of rows or columns. */
async function darkRuns(png: Uint8Array, axis: 'x' | 'y'): Promise<[number, number][]> {
  const { data, info } = await sharp(png).flatten().greyscale().raw().toBuffer({ resolveWithObject: true })
  const [length, across] = axis === 'x' ? [info.width, info.height] : [info.height, info.width]
  const runs: [number, number][] = []
  for (let at = 0; at < length; at++) {
    const pixel = (other: number) => (axis === 'x' ? other * info.width + at : at * info.width + other)
    if (!Array.from({ length: across }, (_, other) => data[pixel(other)]).some((value) => value < 110))
      continue
    const last = runs.at(-1)
    if (last && last[1] === at - 1) last[1] = at
    else runs.push([at, at])
  }
  return runs
}

test("the confusion matrix's axis titles stand beside the names, never on them", async () => {
  const names: Readonly<Record<string, readonly string[]>> = {
    usual: ['airplane', 'automobile', 'bird'],
    short: ['a', 'b'],
    wide: ['WWWWWWWWWWWWWWWWWWWWWWWW', 'b'],
    narrow: ['iiiiiiiiiiiiiiiiiiiiiiii', 'b'],
  }
  for (const [what, classes] of Object.entries(names)) {
    const confusion = classes.map((_, label) => classes.map((_, guess) => (guess === label ? 1 : 0)))
    const { title: _, ...spec } = confusionChart({ classes, confusion })
    const { png } = await drawChart(spec)
    for (const axis of ['x', 'y'] as const) {
      const [first, second] = await darkRuns(png, axis)
      const [thickness, gap] = [first[1] - first[0], second[0] - first[1]]
      // at two pixels of the PNG for each of the chart's; the title has 12
      assert.ok(thickness < 30, `${what} ${axis}: title and names are one run of ${thickness}`)
      assert.ok(gap >= 4 && gap < 50, `${what} ${axis}: ${gap} pixels from the title to the names`)
    }
  }
})

test('bars: the best class first, as long as their accuracy, the line at that of all images', async () => {
  const { svg } = await drawChart(perClassChart(evaluationOf(4, (label) => 2 + 2 * label)))
  const bars = [...svg.matchAll(/aria-roledescription="bar" d="M0,([\d.]+)h([\d.]+)v/g)]
    .map(([, y, width]) => [Number(y), Number(width)])
    .sort(([a], [b]) => a - b)
  assert.deepEqual(
    bars.map(([, width]) => Math.round(width)),
    [8, 6, 4, 2].map((right) => 42 * right),
  )
  assert.match(svg, /stroke="#e45756"/)
  assert.match(svg, /fill="#c03539"[^>]*>all images 50\.0%</)
  for (const text of ['80.0%', '20.0%']) assert.ok(svg.includes(`>${text}</text>`), text)
})

test('of very many classes the worst are shown', async () => {
  const { svg } = await drawChart(perClassChart(evaluationOf(1000, (label) => (label % 5 === 0 ? 1 : 9))))
  assert.match(svg, /10,000 images, top-1 accuracy 74\.00 %; shown are the worst 200 of 1000 classes/)
  assert.ok(svg.includes('>class 995</text>') && !svg.includes('>class 996</text>'))
})

test('long names are cut and stay apart', () => {
  const long = 'a name of more than twenty-four letters'
  assert.deepEqual(axisNames([`${long} 1`, 'short', `${long} 2`]), [
    'a name of more than twe… (0)',
    'short',
    'a name of more than twe… (2)',
  ])
})

test('tables and charts are written, and the PNG shows the diagonal', async (t) => {
  const folder = temporaryFolder(t)
  const files = await writeEvaluation(
    folder,
    evaluationOf(10, () => 9),
  )
  const names = [
    'per-class.csv',
    'confusion.csv',
    'per-class.svg',
    'per-class.png',
    'confusion.svg',
    'confusion.png',
  ]
  assert.deepEqual(
    files,
    names.map((name) => join(folder, name)),
  )
  assert.match(readFileSync(join(folder, 'per-class.csv'), 'utf8'), /^class 9,10,9,0\.900000\r$/m)
  const { data, info } = await sharp(join(folder, 'confusion.png'))
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  let dark = 0
  for (let at = 0; at < data.length; at += info.channels) if (data[at] < 40 && data[at + 2] > 120) dark += 1
  // ten cells of 66 x 66 pixels, less the number in each; the dark end of the legend is some 30 x 60
  assert.ok(dark > 10 * 60 * 60 && dark < 10 * 66 * 66 + 30 * 60, `${dark} dark pixels`)
})
