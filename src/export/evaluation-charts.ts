/** What an evaluation found, as charts: the confusion matrix, and the accuracy of each class. */
import type { ChartSpec } from './chart.ts'

export interface Confusion {
  readonly classes: readonly string[]
  /** [class][guess]: how many images of a class were taken for which. */
  readonly confusion: readonly ArrayLike<number>[]
}

/** How often a class was told right. */
export interface ClassScore {
  readonly name: string
  readonly label: number
  readonly images: number
  readonly correct: number
  /** Part of its images; undefined where there are none. */
  readonly accuracy: number | undefined
}

/** More would not be read, and a chart of them would not open. */
const mostClasses = 200

export function classScores({ classes, confusion }: Confusion): ClassScore[] {
  return classes.map((name, label) => {
    const images = sumOf(confusion[label])
    const correct = confusion[label][label]
    return { name, label, images, correct, accuracy: images === 0 ? undefined : correct / images }
  })
}

function sumOf(counts: ArrayLike<number>): number {
  return Array.from(counts).reduce((sum, count) => sum + count, 0)
}

/** All classes in their order, or of many those that were told worst; those without images come last. */
function shownScores(evaluation: Confusion): readonly ClassScore[] {
  const scores = classScores(evaluation)
  if (scores.length <= mostClasses) return scores
  const worst = scores.toSorted((a, b) => (a.accuracy ?? 2) - (b.accuracy ?? 2)).slice(0, mostClasses)
  return worst.sort((a, b) => a.label - b.label)
}

/** Widths of characters in parts of the font's size, by the widest of the fonts that may draw them, DejaVu Sans. */
const widths: readonly (readonly [RegExp, number])[] = [
  [/[ijl.,:;'|! ]/, 0.32],
  [/[frt()[\]-]/, 0.4],
  [/[mwMW%@…]/, 0.98],
  [/[A-Z]/, 0.74],
  [/[\u0020-\u024f]/, 0.63],
]

/**
 * Pixels that the longest of some names takes. Without a canvas Vega takes every character for 0.8 of the font's size, and
 * would put an axis's title as far away as names of such characters reach, or, from 200 pixels on, into the names.
 */
function longestWidth(names: readonly string[], font: number): number {
  const widthOf = (character: string) => widths.find(([pattern]) => pattern.test(character))?.[1] ?? 1
  const all = names.map((name) => [...name].reduce((sum, character) => sum + widthOf(character), 0))
  return Math.ceil(font * Math.max(0, ...all))
}

function titleOf(what: string, { classes, confusion }: Confusion) {
  const images = confusion.reduce((sum, row) => sum + sumOf(row), 0)
  const correct = classes.reduce((sum, _, label) => sum + confusion[label][label], 0)
  const part =
    classes.length > mostClasses ? `; shown are the worst ${mostClasses} of ${classes.length} classes` : ''
  const accuracy = images === 0 ? '' : `, top-1 accuracy ${((100 * correct) / images).toFixed(2)} %`
  return { text: what, subtitle: `${images.toLocaleString('en-US')} images${accuracy}${part}` }
}

const longestName = 24
const barsWidth = 420

/** Names as they stand at an axis: cut where they are long, and told apart where two then look the same. */
export function axisNames(classes: readonly string[]): string[] {
  const cut = classes.map((name) => (name.length > longestName ? `${name.slice(0, longestName - 1)}…` : name))
  const counts = new Map<string, number>()
  for (const name of cut) counts.set(name, (counts.get(name) ?? 0) + 1)
  return cut.map((name, label) => (counts.get(name) === 1 ? name : `${name} (${label})`))
}

/** Pixels from one class to the next, and of its name. */
function sizesFor(classes: number): {
  readonly step: number
  readonly font: number
  readonly numbers: boolean
} {
  if (classes <= 20) return { step: 34, font: 12, numbers: true }
  return classes <= 50 ? { step: 16, font: 11, numbers: false } : { step: 11, font: 9, numbers: false }
}

/** Rows are the classes of the images, columns what they were taken for; colours show parts of a row. */
export function confusionChart(evaluation: Confusion): ChartSpec {
  const names = axisNames(evaluation.classes)
  const shown = shownScores(evaluation)
  const domain = shown.map(({ label }) => names[label])
  const { step, font, numbers } = sizesFor(shown.length)
  const values = shown.flatMap(({ label, images }) =>
    shown.flatMap((guess) => {
      const count = evaluation.confusion[label][guess.label]
      return count === 0
        ? []
        : [{ class: names[label], guess: names[guess.label], count, part: count / images }]
    }),
  )
  const extent = longestWidth(domain, font) + 4
  const axis = {
    labelFontSize: font,
    labelOverlap: false,
    ticks: false,
    domain: false,
    minExtent: extent,
    maxExtent: extent,
  }
  const place = (field: string, title: string, more: object) =>
    ({ field, type: 'nominal', title, scale: { domain }, axis: { ...axis, ...more } }) as const
  return {
    title: titleOf('Confusion matrix', evaluation),
    width: { step },
    height: { step },
    data: { values },
    encoding: {
      x: place('guess', 'taken for', { orient: 'top', labelAngle: -90 }),
      y: place('class', 'class', {}),
    },
    layer: [
      {
        mark: { type: 'rect', stroke: 'white', strokeWidth: numbers ? 1 : 0 },
        encoding: {
          color: {
            field: 'part',
            type: 'quantitative',
            title: 'part of the class',
            // a few images in a hundred taken for another class are what one looks for
            scale: { type: 'sqrt', domain: [0, 1], scheme: 'blues' },
            legend: { format: '.0%', values: [0.01, 0.1, 0.25, 0.5, 1], gradientLength: 110 },
          },
        },
      },
      ...(numbers ? [countsLayer] : []),
    ],
  }
}

const countsLayer = {
  mark: { type: 'text', fontSize: 11 },
  encoding: {
    text: { field: 'count', type: 'quantitative' },
    color: { condition: { test: 'datum.part > 0.4', value: 'white' }, value: '#333333' },
  },
} as const

/** The accuracy of each class, the best first, with a line at that of all images. */
export function perClassChart(evaluation: Confusion): ChartSpec {
  const names = axisNames(evaluation.classes)
  const scores = shownScores(evaluation)
  const values = scores
    .flatMap(({ label, accuracy }) => (accuracy === undefined ? [] : [{ class: names[label], accuracy }]))
    .sort((a, b) => b.accuracy - a.accuracy)
  const { step, font } = sizesFor(scores.length)
  const all = classScores(evaluation)
  const overall = sumOf(all.map(({ correct }) => correct)) / sumOf(all.map(({ images }) => images))
  const scale = { domain: [0, 1] }
  const x = { field: 'accuracy', type: 'quantitative', title: 'accuracy', scale } as const
  // the label of the line stands above it, and stays within the chart's width
  const align = overall < 0.15 ? 'left' : overall > 0.85 ? 'right' : 'center'
  const y = { field: 'class', type: 'nominal', title: null, sort: null } as const
  return {
    title: titleOf('Accuracy of each class', evaluation),
    width: barsWidth,
    height: { step: Math.min(step, 22) },
    data: { values },
    layer: [
      {
        mark: { type: 'bar' },
        encoding: {
          x: { ...x, axis: { format: '.0%' } },
          y: { ...y, axis: { labelFontSize: font, labelOverlap: false, ticks: false } },
        },
      },
      {
        // beside the bars' ground, where no line crosses them
        mark: { type: 'text', align: 'left', x: barsWidth + 6, fontSize: Math.min(font, 11) },
        encoding: { y, text: { field: 'accuracy', type: 'quantitative', format: '.1%' } },
      },
      {
        data: { values: [{ accuracy: overall }] },
        mark: { type: 'rule', color: '#e45756', strokeDash: [4, 3] },
        encoding: { x },
      },
      {
        data: { values: [{ accuracy: overall }] },
        mark: { type: 'text', align, baseline: 'bottom', y: -4, fontSize: 11, color: '#c03539' },
        encoding: { x, text: { value: `all images ${(100 * overall).toFixed(1)}%` } },
      },
    ],
  }
}
