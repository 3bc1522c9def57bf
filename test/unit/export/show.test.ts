/** `ddsas show`: what it prints and draws for a run and for a file. */
import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { blocksInWords } from '../../../src/cli/genotype-text.ts'
import { showCommand } from '../../../src/cli/show.ts'
import { DdsasError } from '../../../src/errors.ts'
import { RunFolder } from '../../../src/runs/folder.ts'
import type { Genotype } from '../../../src/spaces/darts/genotype.ts'
import { formatGenotype } from '../../../src/spaces/darts/genotype-file.ts'
import { publishedGenotypes } from '../../../src/spaces/darts/published-genotypes.ts'
import { temporaryFolder } from '../runs/temporary.ts'
import { sixEdgeProgram, sixOperations } from './programs.ts'

const genotype: Genotype = {
  normal: [
    ['sep_conv_3x3', 0],
    ['skip_connect', 1],
    ['dil_conv_5x5', 2],
    ['max_pool_3x3', 0],
  ],
  normal_concat: [2, 3],
  reduce: [
    ['avg_pool_3x3', 0],
    ['avg_pool_3x3', 1],
  ],
  reduce_concat: [2],
}

const drawings = ['normal.png', 'normal.svg', 'reduce.png', 'reduce.svg']

async function show(...args: string[]): Promise<string> {
  let printed = ''
  const command = showCommand((text) => {
    printed += text
  })
  await command.parseAsync(args, { from: 'user' })
  return printed
}

test('a run: JSON, line and words; drawings only where --out says', async (t) => {
  const folder = temporaryFolder(t)
  const run = RunFolder.create(join(folder, 'run'), {})
  run.writeGenotype(genotype)
  const before = readdirSync(run.path)
  const printed = await show(run.path)
  const [json = '', line, words, reduce, ...more] = printed.split('\n\n')
  assert.deepEqual(JSON.parse(json), genotype)
  assert.equal(line, formatGenotype(genotype))
  assert.equal(
    words,
    `normal cell
  node 0 = sep_conv_3x3(c_{k-2}) + skip_connect(c_{k-1})
  node 1 = dil_conv_5x5(node 0) + max_pool_3x3(c_{k-2})
  c_{k}  = concat(node 0, node 1)`,
  )
  assert.match(reduce ?? '', /^reduction cell\n {2}node 0 = avg_pool_3x3/)
  assert.deepEqual([more, readdirSync(run.path)], [[], before])
  const out = join(folder, 'drawings')
  const drawn = (await show(run.path, '--out', out)).slice(printed.length)
  assert.equal(drawn.match(/^drawn: .*drawings.(normal|reduce)\.(svg|png)$/gm)?.length, 4)
  assert.deepEqual(readdirSync(out), drawings)
})

test('a published name', async () => {
  assert.deepEqual(JSON.parse(await show('DDSAS_cifar10', '--json')), publishedGenotypes.DDSAS_cifar10)
  assert.match(await show('DARTS_V2'), /^ {2}node 3 = skip_connect\(c_\{k-2\}\) \+ dil_conv_3x3\(node 0\)$/m)
})

test('--json prints only JSON and draws only when told where', async (t) => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'cell.json')
  writeFileSync(file, formatGenotype(genotype))
  assert.deepEqual(JSON.parse(await show(file, '--json')), genotype)
  assert.deepEqual(readdirSync(folder), ['cell.json'])
  assert.deepEqual(JSON.parse(await show(file, '--json', '--out', join(folder, 'a', 'b'))), genotype)
  assert.deepEqual(readdirSync(join(folder, 'a', 'b')), drawings)
})

test('what cannot be shown is an error of ours', async (t) => {
  const folder = temporaryFolder(t)
  const refused = (target: string, pattern: RegExp) =>
    assert.rejects(
      show(target),
      (error) => error instanceof DdsasError && error.kind === 'input' && pattern.test(error.message),
    )
  await refused(
    join(folder, 'none'),
    /none' is no genotype: give a published name \(DDSAS_cifar10, .*\), a run, a file, or its text/,
  )
  await refused(folder, /is not a run: it has no config\.json/)
  const run = RunFolder.create(join(folder, 'run'), {})
  await refused(run.path, /has no genotype\.json yet/)
  run.writeGenotype({ ...genotype, normal: [] })
  await refused(run.path, /genotype\.json: normal: has 0 edges/)
  assert.deepEqual(readdirSync(run.path), ['config.json', 'genotype.json'])
})

test('blocks of any kind in words', () => {
  assert.equal(
    blocksInWords(sixEdgeProgram()),
    `cell
  node 1 = nor_conv_3x3(input)
  node 2 = skip_connect(input)
  node 3 = avg_pool_3x3(input) + nor_conv_1x1(node 1) + nor_conv_3x3(node 2)

reduction
  conv_b = conv_a
  out    = conv_b + downsample
`,
  )
  const nothing = sixEdgeProgram(sixOperations.map(() => 'none'))
  assert.match(blocksInWords(nothing), /^cell\n {2}node 1 = 0\n {2}node 2 = 0\n {2}node 3 = 0\n/)
})
