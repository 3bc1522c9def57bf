/** Imports of pickles: the genuine files of NATS-Bench against the CSV, made files of NAS-Bench-201, and hostile ones. */
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { create } from 'tar'
import { type ImportProgress, importNasbench201, type TableContent } from '../../../src/benchmarks/index.ts'
import { skipWithoutShared } from '../../needs.ts'
import { bytes, dict, int, legacyFile, pickle, text, tuple, zipFile } from '../export/pickles.ts'
import { temporaryFolder } from '../runs/temporary.ts'
import {
  archResults,
  csvFile,
  float,
  madeTrainings,
  pthDictionary,
  put,
  refusedImport,
  sampled,
  tssFolder,
} from './shared.ts'

const skip = skipWithoutShared(tssFolder)

test('the genuine files of three architectures hold what the CSV has of them', { skip }, async () => {
  const [all, three] = [await importNasbench201(csvFile), await importNasbench201(tssFolder)]
  assert.deepEqual([...three.indexes], sampled)
  assert.deepEqual(
    three.keys,
    sampled.map((row) => all.keys[row]),
  )
  assert.deepEqual(three.absent, [])
  for (const [at, { name, values }] of three.columns.entries())
    assert.deepEqual(
      [name, ...values],
      [all.columns[at].name, ...sampled.map((row) => all.columns[at].values[row])],
    )
})

test('a tar archive of them gives the same, with progress; a damaged one is refused', { skip }, async (t) => {
  const folder = temporaryFolder(t)
  const [path, cut] = [join(folder, 'tss.tar'), join(folder, 'cut.tar')]
  mkdirSync(join(folder, 'simple'))
  for (const name of readdirSync(tssFolder)) copyFileSync(join(tssFolder, name), join(folder, 'simple', name))
  await create({ file: path, cwd: folder }, ['simple'])
  const seen: ImportProgress[] = []
  const content = await importNasbench201(path, { onProgress: (progress) => seen.push(progress) })
  const { source: _, ...rest } = content
  const { source: __, ...expected } = await importNasbench201(tssFolder)
  assert.deepEqual(rest, expected)
  assert.deepEqual(
    seen.map(({ architectures }) => architectures),
    seen.map(({ architectures }) => architectures).sort(),
  )
  assert.equal(seen.at(-1)?.done, seen.at(-1)?.total)
  await create({ file: cut, cwd: folder, gzip: true }, ['simple'])
  await refusedImport(cut, /first bytes/)
  writeFileSync(join(folder, 'simple/000284.pickle.pbz2'), 'BZh9 and nothing more')
  await create({ file: path, cwd: folder }, ['simple'])
  await refusedImport(path, /in 000284\.pickle\.pbz2 it is damaged/)
  await refusedImport(join(folder, 'simple'), /in 000284\.pickle\.pbz2 it is damaged/)
})

test('folders and files of another kind', async (t) => {
  const folder = temporaryFolder(t)
  await refusedImport(folder, /without files such as 000000\.pickle\.pbz2/)
  writeFileSync(join(folder, 'empty'), '')
  await refusedImport(join(folder, 'empty'), /first bytes/)
  await assert.rejects(importNasbench201(join(folder, 'absent')), {
    kind: 'input',
    message: /does not exist/,
  })
})

const architectures: readonly (readonly [number, string])[] = [
  [3, '|avg_pool_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|skip_connect~2|'],
  [1835, '|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|'],
]

/** Imports a pickle of torch.save in both formats, which must give the same. */
async function importPth(folder: string, data: Uint8Array): Promise<TableContent> {
  const [zip, legacy] = [join(folder, 'zip.pth'), join(folder, 'legacy.pth')]
  writeFileSync(zip, zipFile(data, {}))
  writeFileSync(legacy, legacyFile(data, []))
  const { source: _, ...content } = await importNasbench201(zip)
  const { source, ...same } = await importNasbench201(legacy)
  assert.deepEqual(content, same)
  assert.equal(source.kind, 'pth')
  return { ...content, source }
}

test('files of NAS-Bench-201 in both formats: means over seeds of the last epoch', async (t) => {
  const content = await importPth(temporaryFolder(t), pickle(pthDictionary(architectures)))
  assert.deepEqual([...content.indexes], [3, 1835])
  const values = new Map(content.columns.map(({ name, values }) => [name, [...values]]))
  assert.deepEqual(values.get('cifar10.validation.200'), [23.25, 55.25])
  assert.deepEqual(values.get('cifar10.test.200'), [24, 56])
  assert.deepEqual(values.get('imagenet16-120.test.200'), [28, 60])
  assert.deepEqual(values.get('cifar100.validation.12'), [15, 47])
  assert.deepEqual(values.get('cifar10.parameters'), [73_306, 73_306])
})

test('numbers of NumPy, and texts that are written once and referred to', async (t) => {
  const dtype = (code: string) =>
    bytes(
      'cnumpy\ndtype\n',
      tuple(text(code), int(0), int(1)),
      'R',
      tuple(int(3), text('<'), 'N', 'N', 'N', int(-1), int(-1), int(0)),
      'b',
    )
  const encoded = (data: Buffer) =>
    bytes('c_codecs\nencode\n', tuple(text(data.toString('latin1')), text('latin1')), 'R')
  const accuracy = Buffer.alloc(8)
  accuracy.writeDoubleLE(61.25)
  const number = bytes('cnumpy.core.multiarray\nscalar\n', tuple(dtype('f8'), encoded(accuracy)), 'R')
  const training = dict({
    name: bytes(text('cifar100'), put(7)),
    epochs: int(200),
    eval_acc1es: dict({ 'x-test@199': number }),
    params: 'N',
    flop: float(7.7889),
    net_state_dict: dict({ weight: 'N' }),
  })
  const results = bytes('}(', tuple('h', 7, int(777)), training, 'u')
  const body = dict({
    first: bytes(text('cifar100'), put(7)),
    info: dict({ arch_index: int(3), arch_str: text(architectures[0][1]), all_results: results }),
  })
  const content = await importPth(temporaryFolder(t), pickle(body))
  assert.deepEqual(
    content.columns.map(({ name, values }) => [name, ...values]),
    [
      ['cifar100.test.200', 61.25],
      ['cifar100.multiply-adds', 7.7889],
    ],
  )
  assert.equal(content.absent.length, 16)
})

test('hostile pickles run nothing and are refused by the name they use', async (t) => {
  const path = join(temporaryFolder(t), 'a.pth')
  const calls: readonly (readonly [Buffer, RegExp])[] = [
    [
      bytes('cos\nsystem\n', tuple(text('touch pwned')), 'R'),
      /uses os\.system, which is not among the names/,
    ],
    [bytes(text('posix'), text('system'), 0x93, tuple(text('id')), 'R'), /uses posix\.system/],
    [bytes('cbuiltins\neval\n', tuple(text('1')), 'R'), /builtins\.eval/],
    [bytes('cnumpy\nload\n', tuple(text('x')), 'R'), /numpy\.load/],
    [bytes('ctorch\nload\n', tuple(text('x')), 'R'), /torch\.load/],
    [bytes('c__builtin__\nset\n', tuple(int(1)), 'R'), /set of something other/],
    [bytes('i'), /opcode 0x69/],
  ]
  for (const [call, pattern] of calls)
    for (const file of [zipFile(pickle(call), {}), legacyFile(pickle(call), [])]) {
      writeFileSync(path, file)
      await refusedImport(path, pattern)
    }
})

test('pickles that want more memory than they are worth', async (t) => {
  const path = join(temporaryFolder(t), 'a.pth')
  writeFileSync(path, legacyFile(pickle(bytes(']('), Buffer.alloc(2_500_000, '}'), bytes('e')), []))
  await refusedImport(path, /more than 2000000 values at once/)
})

test('results that contradict one another, or are none', async (t) => {
  const path = join(temporaryFolder(t), 'a.pth')
  const [[index, architecture]] = architectures
  const both = (first: Buffer, second: Buffer) => pickle(bytes('](', first, second, 'e'))
  const one = archResults(index, architecture, madeTrainings(20, 200))
  const cases: readonly (readonly [Buffer, RegExp])[] = [
    [both(one, archResults(index, architecture, madeTrainings(21, 200))), /as 20\.25 and as 21\.25/],
    [both(one, archResults(4, architecture, madeTrainings(20, 200))), /two texts, or shares one/],
    [both(one, archResults(5, 'skip', [])), /architecture 5: .*1 of 3 nodes/],
    [both(one, archResults(20_000, architecture, [])), /numbers an architecture "20000"/],
    [both(one, archResults(index, architecture, madeTrainings(-50, 12))), /value -49\.75/],
    [pickle(dict({ all_results: 'N', arch_str: text(architecture) })), /results that are no dictionary/],
    [pickle(dict({})), /no results of an architecture/],
  ]
  for (const [data, pattern] of cases) {
    writeFileSync(path, zipFile(data, {}))
    await refusedImport(path, pattern)
  }
})

test('of many files one that is damaged is found', { skip }, async (t) => {
  const folder = temporaryFolder(t)
  const names = Array.from({ length: 6 }, (_, at) => `${String(at).padStart(6, '0')}.pickle.pbz2`)
  const genuine = sampled.map((index) => join(tssFolder, `${String(index).padStart(6, '0')}.pickle.pbz2`))
  for (const [at, name] of names.entries()) copyFileSync(genuine[at % genuine.length], join(folder, name))
  const [three, many] = [await importNasbench201(tssFolder), await importNasbench201(folder)]
  assert.deepEqual({ ...many, source: three.source }, three)
  const archive = join(temporaryFolder(t), 'many.tar')
  await create({ file: archive, cwd: folder }, names)
  assert.deepEqual({ ...(await importNasbench201(archive)), source: three.source }, three)
  writeFileSync(join(folder, names[4]), 'BZh9')
  await refusedImport(folder, /in 000004\.pickle\.pbz2 it is truncated/)
  await create({ file: archive, cwd: folder }, names)
  await refusedImport(archive, /in 000004\.pickle\.pbz2 it is truncated/)
})
