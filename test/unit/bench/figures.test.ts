/** Figures in texts: blocks are written from results, and the texts of this repository say what its results say. */
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { prose, writeBlocks } from '../../../bench/figures/blocks.ts'
import { measuredBlocks, textsOf, writeTexts } from '../../../bench/figures/texts.ts'
import { figureViolations } from '../../../scripts/check/figures.ts'
import { figureTexts } from '../../../scripts/figures/texts.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'
import { repository } from '../scripts/support.ts'

const block = (name: string, text: string) => `<!-- figures:${name} -->\n${text}\n<!-- /figures -->`

test('blocks are written anew, all else stays; sentences are wrapped, tables are not', () => {
  const text = `before\n${block('a', 'old')}\nbetween\n${block('b', '')}\nafter\n`
  const row = `| ${'x'.repeat(200)} |`
  const words = Array.from({ length: 40 }, () => 'word').join(' ')
  const written = writeBlocks(text, { a: ['1.5 s', '', row], b: [words] }, 'T.md')
  assert.match(written, /^before\n<!-- figures:a -->\n1\.5 s\n\n\| x+ \|\n<!-- \/figures -->\nbetween\n/)
  assert.ok(written.endsWith('<!-- /figures -->\nafter\n'))
  const lines = written.split('\n').filter((line) => line.startsWith('word'))
  assert.deepEqual([lines.length, lines.join(' ')], [2, words])
  assert.equal(writeBlocks(written, { a: ['1.5 s', '', row], b: [words] }, 'T.md'), written)
})

test('marks and blocks that do not fit are refused', () => {
  const refused = (text: string, blocks: Record<string, string[]>, pattern: RegExp) =>
    assertRefuses(() => writeBlocks(text, blocks, 'T.md'), 'input', pattern)
  refused('text', { a: [] }, /T\.md needs one block <!-- figures:a -->/)
  refused(block('a', ''), {}, /'a' that nothing writes/)
  refused(`${block('a', '')}\n${block('a', '')}`, { a: [] }, /needs one block <!-- figures:a -->/)
  refused(`${block('a', '')}\n<!-- /figures -->`, { a: [] }, /without its other one/)
})

test('a stale block and a measured figure outside of blocks are found with their lines', () => {
  const found = (now: string, wanted = now) =>
    figureViolations({ path: 'T.md', now, wanted }).map(({ line, message }) => `${line} ${message}`)
  assert.match(found('a\nb\n', 'a\nc\n').join(), /^2 figures differ .* scripts\/figures\.ts --write$/)
  for (const stray of [
    '37 ms',
    '2987 MiB',
    '0.8 s a step',
    '4.7 times as fast',
    '118 GFLOP/s',
    '1.4 GiB resident',
  ])
    assert.match(found(`x\n\ntakes ${stray} here`).join(), /^3 '.*' is measured and stands outside/, stray)
  const fine = 'L = 28, 50 epochs, `memory.limit="4 GiB"`, 139 MB\n```sh\nsleep 1 # 20 ms\n```\n'
  assert.deepEqual(found(fine + block('a', '37 ms')), [])
  assert.equal(
    prose(fine + block('a', '37 ms')).split('\n').length,
    (fine + block('a', '37 ms')).split('\n').length,
  )
})

/** A copy of the texts and results of this repository. */
function copied(t: TestContext): string {
  const root = temporaryFolder(t)
  for (const path of [
    'README.md',
    'CONTRIBUTING.md',
    'bench/README.md',
    'bench/results',
    'bench/gpu/results',
  ]) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    cpSync(join(repository, path), join(root, path), { recursive: true })
  }
  return root
}

test('the texts of this repository say what its results say', () => {
  assert.deepEqual(figureTexts(repository).flatMap(figureViolations), [])
})

test('another result changes both texts; the README tells the one that was measured last', (t) => {
  const root = copied(t)
  const name = 'cpu-2-avx512-1.13.0.json'
  const folder = join(root, 'bench/results')
  const results = JSON.parse(readFileSync(join(folder, name), 'utf8'))
  results.machine = { ...results.machine, kernels: 'other', date: '2099-01-31', commit: 'fedcba9876' }
  results.reports.step.timings[0].median = 0.1234
  writeFileSync(join(folder, 'later.json'), JSON.stringify(results))
  const texts = textsOf(root, measuredBlocks(root))
  assert.deepEqual(writeTexts(root, texts), ['README.md', 'bench/README.md'])
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  assert.match(readme, /\| this +\| +0\.123 \(/)
  assert.match(readme, /kernels other, .*commit `fedcba9`,\s2099-01-31/)
  assert.match(readFileSync(join(root, 'bench/README.md'), 'utf8'), /### later[\s\S]*kernels other/)
  assert.deepEqual(writeTexts(root, textsOf(root, measuredBlocks(root))), [])
})

test('a result that lacks what it has to name is refused', (t) => {
  const root = copied(t)
  const damage = (path: string, key: RegExp, pattern: RegExp) => {
    const file = join(root, path)
    const before = readFileSync(file, 'utf8')
    writeFileSync(file, before.replace(key, '"gone"'))
    assertRefuses(() => measuredBlocks(root), 'data', pattern)
    writeFileSync(file, before)
  }
  damage('bench/results/cpu-2-avx512-1.13.0.json', /"commit"/, /holds no results/)
  damage('bench/gpu/results/h100-2.11.0.json', /"commit"/, /machine\.commit/)
  damage('bench/results/runs/demo.json', /"commit"/, /demo\.json has commit/)
})
