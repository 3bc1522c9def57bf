/** Records of windows: what is written is read again, a long search stays small, and what others wrote is checked. */
import assert from 'node:assert/strict'
import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { DdsasError } from '../../../../src/errors.ts'
import { RunFolder } from '../../../../src/runs/folder.ts'
import { readWindows } from '../../../../src/search/windows.ts'
import { publishedGenotype } from '../../../../src/spaces/darts/published-genotypes.ts'
import { darts, edgeCount } from '../../../../src/spaces/darts/space.ts'
import { rawWeights } from '../../../../src/strategies/ddsas/mixture.ts'
import { closeWindow, emptyState } from '../../../../src/strategies/ddsas/saliency.ts'
import { sampleSubspace } from '../../../../src/strategies/ddsas/subspace.ts'
import { ucbScores } from '../../../../src/strategies/ddsas/ucb.ts'
import {
  endedWindow,
  openedWindow,
  parseWindow,
  type WindowLine,
} from '../../../../src/strategies/ddsas/window-record.ts'
import { Generator } from '../../../../src/torch/random.ts'
import { assertRefuses, temporaryFolder } from '../../runs/temporary.ts'
import { matrices } from './spaces.ts'

/** Records are read without a key of this name, which no object has by itself. */
const names = fc.string().filter((name) => name !== '__proto__')

const numbers = fc.double({ min: -1e6, max: 1e6, noNaN: true })

/** A group of decisions of any size; nothing is sampled that the space does not hold. */
const groups = fc
  .record({ edges: fc.integer({ min: 1, max: 9 }), operations: fc.integer({ min: 1, max: 8 }) })
  .chain((size) =>
    fc.record({
      alpha: matrices(size, numbers.map(Math.fround)),
      zeta: matrices(size, numbers.map(Math.fround)),
      saliency: matrices(size, numbers),
      pulls: matrices(size, fc.nat(2000)),
      places: matrices(size, fc.constantFrom('sampled', 'left out', 'deleted')),
    }),
  )

test('property: what was written is read again, for any groups by any names', () => {
  const facts = fc.record({
    epoch: fc.nat(),
    opened: fc.nat(),
    exploration: fc.double({ min: 0, max: 10, noNaN: true }),
    totalPulls: fc.nat(),
  })
  const ends = fc.record({
    closed: fc.nat(),
    credited: fc.boolean(),
    last: fc.boolean(),
    architecture: fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value))),
  })
  fc.assert(
    fc.property(facts, ends, fc.dictionary(names, groups), (opening, end, given) => {
      const named = Object.entries(given).map(([name, { places, saliency, ...group }]) => {
        const mask = places.map((row) => row.map((place) => place === 'sampled'))
        const available = places.map((row) => row.map((place) => place !== 'deleted'))
        return { name, saliency, group: { ...group, mask, available } }
      })
      const opened = openedWindow(opening, Object.fromEntries(named.map(({ name, group }) => [name, group])))
      const kept = JSON.parse(JSON.stringify(opened))
      const line = endedWindow(kept, end, Object.fromEntries(named.map((one) => [one.name, one.saliency])))
      const { groups: found, ...rest } = parseWindow(JSON.parse(JSON.stringify(line)), 'it')
      assert.deepEqual(rest, { ...opening, ...end })
      assert.deepEqual(Object.keys(found).sort(), named.map(({ name }) => name).sort())
      for (const { name, group, saliency } of named) {
        const { mean, bonus, saliency: rounded, ...same } = found[name]
        assert.deepEqual(same, group)
        for (const [edge, row] of saliency.entries())
          for (const [k, value] of row.entries()) {
            assert.equal(rounded[edge][k], Math.fround(value))
            assert.equal(mean[edge][k], 1 / (1 + Math.exp(-group.zeta[edge][k])))
            const t = group.pulls[edge][k]
            const { exploration: c, totalPulls: T } = opening
            assert.equal(
              bonus[edge][k],
              t === 0 ? Number.POSITIVE_INFINITY : c * Math.sqrt(Math.log(Math.max(T, 1)) / t),
            )
          }
      }
    }),
    { numRuns: 200 },
  )
})

const edges = edgeCount(darts)
const size = { edges, operations: Object.keys(darts.operations).length }

/** So many windows of a search of the DARTS space whose alpha and zeta walk at random, and from which nothing converges. */
function* madeWindows(count: number): IterableIterator<WindowLine> {
  const generator = new Generator(0, 'windows')
  const drawn = (scale: number) =>
    Array.from({ length: size.edges }, () =>
      Array.from({ length: size.operations }, () => Math.fround(scale * generator.normal())),
    )
  const moved = (matrix: readonly (readonly number[])[]) => {
    const steps = drawn(0.03)
    return matrix.map((row, edge) => row.map((value, k) => Math.fround(value + steps[edge][k])))
  }
  const start = () => ({
    alpha: drawn(1e-3),
    zeta: drawn(1e-3),
    memory: emptyState(size.edges, size.operations, 1),
  })
  let cells = { normal: start(), reduce: start() }
  type Cell = typeof cells.normal
  const both = <Result>(body: (cell: Cell) => Result) => ({
    normal: body(cells.normal),
    reduce: body(cells.reduce),
  })
  for (let window = 0; window < count; window++) {
    const totalPulls = window + 1
    cells = both(({ alpha, zeta, memory }) => {
      const scores = ucbScores(zeta, memory.pulls, totalPulls, 1.44)
      const rule = { size: 28, none: 0, noneCounts: false }
      return {
        alpha,
        zeta,
        memory: { ...memory, mask: sampleSubspace(scores, zeta, memory.available, rule) },
      }
    })
    const facts = { epoch: Math.floor(window / 14), opened: 30 * window, exploration: 1.44, totalPulls }
    const opened = openedWindow(
      facts,
      both(({ memory: { pulls, mask, available }, ...values }) => ({
        ...values,
        pulls,
        mask,
        available,
      })),
    )
    cells = both(({ alpha, zeta, memory }) => {
      const [a, z] = [moved(alpha), moved(zeta)]
      return { alpha: a, zeta: z, memory: closeWindow(memory, rawWeights(a, z, memory.mask, 'simple')) }
    })
    const end = {
      closed: 30 * (window + 1),
      credited: true,
      last: false,
      architecture: publishedGenotype('DDSAS_cifar10'),
    }
    yield endedWindow(
      opened,
      end,
      both(({ memory }) => memory.saliency),
    )
  }
}

test('700 windows of the DARTS space take less than 4 MB', (t) => {
  const run = RunFolder.create(join(temporaryFolder(t), 'run'), {})
  let longest = 0
  for (const window of madeWindows(700)) {
    run.appendWindow(window)
    longest = Math.max(longest, JSON.stringify(window).length)
  }
  const { size: bytes } = statSync(join(run.path, 'windows.jsonl'))
  t.diagnostic(`${bytes} bytes, the longest line ${longest}`)
  assert.ok(bytes < 4e6)
  assert.equal(run.logLengths.windowsBytes, bytes)
  // nothing grows but counts: whatever alpha, zeta and saliency become, all lines may be as long as the longest
  assert.ok(700 * (longest + 1) < 4e6)
  let opened = 0
  for (const window of readWindows(run)) {
    assert.equal(window.opened, opened)
    opened = window.closed
  }
  assert.equal(opened, 700 * 30)
})

test('the line that README.md shows is one, and decodes to what it says', () => {
  const readme = readFileSync(join(import.meta.dirname, '../../../../README.md'), 'utf8')
  const [line] = /^\{"epoch".*$/m.exec(readme) ?? assert.fail('README.md shows no line')
  const { groups, closed } = parseWindow(JSON.parse(line), 'README.md')
  const { zeta, bonus, mask, available } = groups.normal
  assert.equal(closed, 60)
  assert.deepEqual(zeta, [
    [0.25, -0.5],
    [1, 0],
  ])
  assert.deepEqual(bonus.flat().map(Number.isFinite), [true, true, false, true])
  assert.deepEqual(
    [mask.flat().map(Number), available.flat().map(Number)],
    [
      [1, 0, 1, 0],
      [1, 1, 1, 0],
    ],
  )
})

test('a half-written last line is left out, a line that is no window is named', (t) => {
  const run = RunFolder.create(join(temporaryFolder(t), 'run'), {})
  assert.deepEqual([...readWindows(run)], [])
  const [line] = madeWindows(1)
  const path = join(run.path, 'windows.jsonl')
  const text = JSON.stringify(line)
  writeFileSync(path, `${text}\n${text.slice(0, -1)}`)
  assert.equal([...readWindows(run)].length, 1)
  appendFileSync(path, '\n')
  assertRefuses(() => [...readWindows(run)], 'data', /windows\.jsonl line 2 is not a JSON object/)
  writeFileSync(path, `${text}\n${text}\n{}\n`)
  const windows = readWindows(run)
  assert.deepEqual([windows.next().done, windows.next().done], [false, false])
  assertRefuses(() => windows.next(), 'data', /windows\.jsonl line 3 is no window of a search: epoch: /)
})

test('a line that says what cannot be is refused by the key', () => {
  const [line] = madeWindows(1)
  const { normal } = line.groups
  const withGroup = (change: object) => ({
    ...line,
    groups: { ...line.groups, normal: { ...normal, ...change } },
  })
  const floats = (value: number) => {
    const bytes = Buffer.from(normal.zeta, 'base64')
    bytes.writeFloatLE(value, 40)
    return bytes.toString('base64')
  }
  const { architecture: _, ...headless } = line
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [null, /^it is no window of a search: line: expected object, received null; restore the file$/],
    [{ ...line, opened: -1 }, /opened: /],
    [{ ...line, closed: 2 ** 60 }, /closed: /],
    [{ ...line, exploration: null }, /exploration: expected number/],
    [{ ...line, credited: 'yes' }, /credited: expected boolean/],
    [{ ...line, groups: [] }, /groups: expected record/],
    [headless, /architecture: is missing/],
    [withGroup({ rows: 0 }), /groups\.normal\.rows: /],
    [withGroup({ rows: 15 }), /groups\.normal\.\w+ is not of its rows and candidates/],
    [withGroup({ rows: 2 ** 30, candidates: 2 ** 22 }), /groups\.normal\.pulls is not of/],
    [withGroup({ candidates: 1.5 }), /groups\.normal\.candidates: /],
    [withGroup({ pulls: normal.pulls.slice(1) }), /groups\.normal\.pulls is not of/],
    [withGroup({ pulls: normal.pulls.map(() => -1) }), /groups\.normal\.pulls\.0: /],
    [withGroup({ mask: normal.mask.replace('1', 'x') }), /groups\.normal\.mask is not of/],
    [withGroup({ mask: `${normal.mask}1` }), /groups\.normal\.mask is not of/],
    [withGroup({ zeta: normal.zeta.slice(4) }), /groups\.normal\.zeta is not of/],
    [withGroup({ zeta: ` ${normal.zeta}` }), /groups\.normal\.zeta is not of/],
    [withGroup({ alpha: floats(Number.NaN) }), /groups\.normal\.alpha is not of/],
    [withGroup({ saliency: floats(Number.NEGATIVE_INFINITY) }), /groups\.normal\.saliency is not of/],
    [withGroup({ saliency: undefined }), /groups\.normal\.saliency: expected string/],
  ]
  for (const [bad, pattern] of refused) assertRefuses(() => parseWindow(bad, 'it'), 'data', pattern)
  assert.equal(parseWindow({ ...line, later: 'unknown keys are those of a later version' }, 'it').opened, 0)
})

test('property: whatever a line is, it is a window or refused', () => {
  const [line] = madeWindows(1)
  const keys = Object.keys(line)
  const groupKeys = Object.keys(line.groups.normal)
  const anything = fc.oneof(fc.jsonValue(), fc.constantFrom('', 'AAAA', '1', [], {}, 1e308, -0))
  fc.assert(
    fc.property(fc.constantFrom(...keys, ...groupKeys), anything, (key, value) => {
      const groups = { normal: { ...line.groups.normal, [key]: value } }
      const bad = keys.includes(key) ? { ...line, [key]: value } : { ...line, groups }
      try {
        parseWindow(bad, 'it')
      } catch (error) {
        assert.ok(error instanceof DdsasError && error.kind === 'data', String(error))
      }
    }),
    { numRuns: 500 },
  )
})
