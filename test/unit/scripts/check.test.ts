/** Tests of the structure check on trees of a few lines: each rule fires where it should, and not elsewhere. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { limitLines } from '../../../scripts/check/sizes.ts'
import { checkTree } from '../../../scripts/check/tree.ts'
import { repository, tree } from './support.ts'

const opening = '/** A file of a test. */\n'

/** Violations as `path:line message` in a tree whose files all open well. */
function check(t: TestContext, files: Readonly<Record<string, string>>): string[] {
  const opened = Object.fromEntries(Object.entries(files).map(([path, text]) => [path, opening + text]))
  const { violations } = checkTree(tree(t, opened))
  return violations.map(({ path, line, message }) => `${path}:${line} ${message}`)
}

function assertOne(found: readonly string[], pattern: RegExp): void {
  assert.equal(found.length, 1, found.join('\n'))
  assert.match(found[0] ?? '', pattern)
}

test('a clean tree has no violations', (t) => {
  const found = check(t, {
    'src/errors.ts': '',
    'src/torch/tensor.ts': "import { DdsasError } from '../errors.ts'\n",
    'src/nn/linear.ts': "import { Tensor } from '../torch/tensor.ts'\nimport { z } from 'zod'\n",
    'test/unit/a.test.ts': "import '../../src/nn/linear.ts'\n",
  })
  assert.deepEqual(found, [])
})

test('an import against the layer table is found, whatever its form', (t) => {
  const forms = [
    "import { a } from '../nn/a.ts'",
    "import type { a } from '../nn/a.ts'",
    "export * from '../nn/a.ts'",
    "await import('../nn/a.ts')",
  ]
  for (const form of forms) {
    const found = check(t, { 'src/torch/b.ts': `\n${form}\n`, 'src/nn/a.ts': '' })
    assertOne(found, /^src\/torch\/b\.ts:3 imports src\/nn\/a\.ts/)
  }
})

test('a genotype imports nothing of its space, and tables import spaces alone', (t) => {
  const good = { 'src/benchmarks/table.ts': "import '../spaces/a.ts'", 'src/spaces/a.ts': '' }
  assert.deepEqual(check(t, good), [])
  assertOne(
    check(t, { 'src/spaces/darts/genotype.ts': "import './cell.ts'", 'src/spaces/darts/cell.ts': '' }),
    /genotype\.ts:2/,
  )
  assertOne(check(t, { 'src/benchmarks/table.ts': "import '../nn/a.ts'", 'src/nn/a.ts': '' }), /table\.ts:2/)
})

test('strategies import the interface, not one another', (t) => {
  const files = { 'src/strategies/strategy.ts': '', 'src/strategies/darts.ts': "import './strategy.ts'\n" }
  assert.deepEqual(check(t, files), [])
  assertOne(
    check(t, { ...files, 'src/strategies/gdas.ts': "import './darts.ts'\n" }),
    /gdas\.ts:2 imports .*darts/,
  )
})

test('a folder without a row and a second loader of the addon are found', (t) => {
  assertOne(check(t, { 'src/utils/a.ts': '' }), /utils\/a\.ts:1 is in no row/)
  assertOne(check(t, { 'src/nn/a.ts': "require('ddsas.node')\n" }), /nn\/a\.ts:2 names the addon/)
})

test('cycles are found once, with all their files', (t) => {
  const found = check(t, {
    'src/nn/a.ts': "import './b.ts'\n",
    'src/nn/b.ts': "import './c.ts'\n",
    'src/nn/c.ts': "import './a.ts'\n",
    'src/nn/d.ts': "import './a.ts'\n",
  })
  assertOne(found, /circle: src\/nn\/a\.ts, src\/nn\/b\.ts, src\/nn\/c\.ts$/)
})

test('sizes: hard stop, 90th percentile and median of files', (t) => {
  const lines = (count: number) => '// a line\n'.repeat(count - 1)
  const small = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`src/nn/s${index}.ts`, '']))
  assertOne(
    check(t, { ...small, 'src/nn/big.ts': lines(501) }),
    /big\.ts:1 file has 501 lines; the limit is 500/,
  )
  const found = check(t, { 'native/a.cc': lines(351) })
  assert.deepEqual(found.length, 2)
  assert.match(found.join('\n'), /median file has 351[\s\S]*90th percentile file has 351/)
  assert.deepEqual(check(t, { ...small, 'native/a.cc': lines(500) }), [])
})

test('CONTRIBUTING states the limits that are kept, and the summary prints them', (t) => {
  const contributing = readFileSync(join(repository, 'CONTRIBUTING.md'), 'utf8').replaceAll('\n', ' ')
  assert.ok(contributing.includes(limitLines().join(' ')))
  assert.match(limitLines().join(), /files half of all have at most 150 lines.* 350, none more than 500/)
  assert.match(limitLines().join(), /functions half of all have at most 10 lines.* 40, none more than 80/)
  const { summary } = checkTree(tree(t, { 'src/nn/a.ts': opening }))
  assert.match(summary, /files: .*\(limits 150, 350, 500\); functions: .*\(limits 10, 40, 80\)/)
})

test('sizes of functions: named ones, callbacks within them, not those of tests', (t) => {
  const long = (count: number) => `export function long() {\n${'  call()\n'.repeat(count - 2)}}\n`
  const small = Array.from({ length: 20 }, (_, index) => `const f${index} = () => ${index}\n`).join('')
  assertOne(check(t, { 'src/nn/a.ts': small + long(81) }), /a\.ts:22 long has 81 lines/)
  assert.deepEqual(check(t, { 'src/nn/a.ts': small + long(80) }), [])
  assert.deepEqual(check(t, { 'src/nn/a.ts': small, 'test/a.test.ts': long(300) }), [])
  assert.equal(check(t, { 'src/nn/a.ts': long(41) }).length, 2)
})

test('forbidden words are found with their lines', (t) => {
  const words = [
    `const a = b as an${'y'}`,
    `// TO${'DO'} later`,
    `// @ts-ig${'nore'}`,
    `const p = '/ho${'me'}/somebody'`,
  ]
  for (const word of words) assertOne(check(t, { 'src/nn/a.ts': `\n${word}\n` }), /^src\/nn\/a\.ts:3 /)
  assert.deepEqual(
    check(t, { 'src/nn/a.ts': "// as anything, net/work/a\nfetch('https://example.org/home/a')\n" }),
    [],
  )
})

test('a file must open with a comment of some words', (t) => {
  const openings = {
    bad: ['const a = 1\n', '/** Short. */\n', '\n// after an empty line\n'],
    good: [] as string[],
  }
  openings.good = [
    '// What this file is.\n',
    '/**\n * What this file is.\n */\n',
    '#!/usr/bin/env node\n// What it does here.\n',
  ]
  for (const text of openings.bad)
    assert.equal(checkTree(tree(t, { 'src/nn/a.ts': text })).violations.length, 1, text)
  for (const text of openings.good)
    assert.deepEqual(checkTree(tree(t, { 'src/nn/a.ts': text })).violations, [], text)
})

test('the command prints violations and a summary, and exits with 1 or 0', (t) => {
  const script = [join(repository, 'scripts/check.ts')]
  const args = script
  const bad = spawnSync(process.execPath, [...args, tree(t, { 'src/nn/a.ts': '' })], {
    encoding: 'utf8',
    cwd: repository,
  })
  assert.equal(bad.status, 1)
  assert.match(
    bad.stdout,
    /^src\/nn\/a\.ts:1 does not open[\s\S]*\ncheck: 1 violations; 1 files; files: median/,
  )
  const good = execFileSync(process.execPath, [...args, tree(t, { 'src/nn/a.ts': opening })], {
    cwd: repository,
  })
  assert.match(good.toString(), /^check: 0 violations/)
})
