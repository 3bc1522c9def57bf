/** The lines of a search: durations, the line that moves, the line of an epoch, and the scalars for TensorBoard. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  barLine,
  epochLine,
  formatDuration,
  type Standing,
  spaceText,
  stepLine,
} from '../../../src/cli/search-text.ts'
import { scalarsOf } from '../../../src/loop/metrics-logger.ts'
import { darts } from '../../../src/spaces/darts/space.ts'

const standing: Standing = {
  epoch: 2,
  epochs: 50,
  step: 123,
  steps: 391,
  loss: 2.14949,
  accuracy: 0.2531,
  secondsPerStep: 1.7249,
  memory: 2.1 * 2 ** 30,
  secondsLeft: 9.21 * 3600,
}

const operations = Object.keys(darts.operations)
const genotype = { normal: [], normal_concat: [], reduce: [], reduce_concat: [] }
const epoch = {
  epoch: 48,
  globalStep: 19_159,
  train: { loss: 1.2, accuracy: 0.456 },
  valid: { loss: 1.3, accuracy: 0.4321 },
  lr: 0.0249,
  indicators: { skip_connect: 2 },
  distance: 0.3125,
  cells: { normal: { operations: 8, skips: 2, depth: 3, width: 4 } },
  rankCorrelation: null,
  architecture: genotype,
  seconds: 700,
}

test('durations: two or three digits, and the unit that suits', () => {
  const shown = [0, 0.4, 1, 99.4, 99.6, 600, 5969, 5971, 9.25 * 3600, 47.9 * 3600, 48 * 3600, 36e4, 1e7]
  assert.deepEqual(shown.map(formatDuration), [
    '0 s',
    '0 s',
    '1 s',
    '99 s',
    '2 min',
    '10 min',
    '99 min',
    '1.7 h',
    '9.3 h',
    '47.9 h',
    '2.0 d',
    '4.2 d',
    '115.7 d',
  ])
})

test('a step in a file', () => {
  const line = 'epoch 3/50  step 123/391  loss 2.149  err 74.7 %  1.72 s/step  2.1 GiB  9.2 h left'
  assert.equal(stepLine(standing), line)
  assert.match(stepLine({ ...standing, step: 391 }), /step 391\/391 .* evaluating$/)
})

test('the line that moves fits 80 columns with all that matters, and shows more where there is room', () => {
  const told = '  loss 2.149  err 74.7 %  1.72 s/step  2.1 GiB  9.2 h left'
  assert.equal(barLine(standing, 80), `epoch 3/50 ██░░░░░░${told}`)
  assert.equal(barLine(standing, 120), `epoch 3/50 ${'█'.repeat(6)}${'░'.repeat(14)} 123/391${told}`)
  const long = {
    ...standing,
    epoch: 599,
    epochs: 600,
    loss: 12.3456,
    accuracy: 1,
    secondsPerStep: 12,
    memory: 2e10,
  }
  assert.ok(barLine(long, 80).endsWith('loss 12.346  err 0.0 %  12.0 s/step  18.6 GiB  9.2 h left'))
})

test('the line that moves is always shorter than the terminal is wide, and its bar is full at the end', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 2000 }),
      fc.nat(),
      (columns, steps, at) => {
        const step = 1 + (at % steps)
        const line = barLine({ ...standing, step, steps }, columns)
        assert.ok(line.length < Math.max(1, columns - 2), 'there is room for the ^C of Ctrl-C')
        assert.doesNotMatch(line, /\n/)
        if (step === steps) assert.doesNotMatch(line, /░/)
      },
    ),
  )
})

test('the line of an epoch fits 80 columns', () => {
  const line = epochLine(epoch, 50)
  assert.equal(line, 'epoch 49/50  train err 54.4 %  valid 56.8 %  skip 2  depth 3  dist 0.31  12 min')
  assert.ok(line.length < 80)
  assert.match(epochLine({ ...epoch, distance: null }, 50), / dist - /)
  // a space of whose cells nothing can be told
  assert.match(epochLine({ ...epoch, cells: {} }, 50), / skip_connect 2 {2}dist/)
})

test('a change of the space: a line for each group of decisions, in 80 columns whatever changed', () => {
  const normal = { available: 109, deleted: { none: 2, max_pool_3x3: 1 }, added: {} }
  const reduce = { available: 1, deleted: {}, added: {} }
  assert.equal(
    spaceText({ epoch: 10, globalStep: 3910, groups: { normal, reduce } }),
    [
      'space from epoch 11 on:',
      '  normal: 109 operations left, -2 none, -1 max_pool_3x3',
      '  reduce: 1 operation left, unchanged',
    ].join('\n'),
  )
  const every = Object.fromEntries(operations.map((name) => [name, 14]))
  const all = { available: 112, deleted: every, added: every }
  const lines = spaceText({ epoch: 999, globalStep: 1e9, groups: { normal: all, reduce: all } }).split('\n')
  for (const line of lines) assert.ok(line.length <= 80, line)
  for (const cell of ['normal', 'reduce']) {
    const first = lines.findIndex((line) => line.startsWith(`  ${cell}: 112 operations left, -14 none,`))
    const own = lines
      .slice(first, first + 5)
      .join(' ')
      .replaceAll(/\s+/g, ' ')
    for (const name of operations) assert.ok(own.includes(`-14 ${name}`) && own.includes(`+14 ${name}`), own)
  }
})

test('scalars: every finite number of a line but its place', () => {
  const line = { kind: 'epoch', ...epoch, distance: null, gradNorm: Number.NaN, lr: Infinity }
  assert.deepEqual(scalarsOf(line), {
    'epoch/train loss': 1.2,
    'epoch/train accuracy': 0.456,
    'epoch/valid loss': 1.3,
    'epoch/valid accuracy': 0.4321,
    'epoch/indicators skip_connect': 2,
    'epoch/cells normal operations': 8,
    'epoch/cells normal skips': 2,
    'epoch/cells normal depth': 3,
    'epoch/cells normal width': 4,
    'epoch/seconds': 700,
  })
})
