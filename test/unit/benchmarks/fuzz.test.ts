/** Importers and tables on damaged files: each is read or refused by us, soon. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { importNasbench201 } from '../../../src/benchmarks/index.ts'
import { decodeTable, encodeTable } from '../../../src/benchmarks/table-file.ts'
import { DdsasError } from '../../../src/errors.ts'
import { skipWithoutShared } from '../../needs.ts'
import { applyChanges, changes } from '../export/damage.ts'
import { bytes, int, legacyFile, pickle, text, zipFile } from '../export/pickles.ts'
import { temporaryFolder } from '../runs/temporary.ts'
import { archResults, madeTrainings, tssFolder } from './shared.ts'

/** Of processor time: a clock would count what else the machine does. */
const maxSeconds = 5
const maxBytes = 300 * 2 ** 20

/** Whether an import ends in success or in our refusal, within time and memory. */
async function survives(path: string): Promise<void> {
  const start = process.cpuUsage()
  const before = process.memoryUsage.rss()
  await importNasbench201(path).catch((error: unknown) => {
    assert.ok(error instanceof DdsasError, error instanceof Error ? error.stack : String(error))
    assert.equal(error.kind, 'data', error.message)
    assert.doesNotMatch(error.message, /\n/)
  })
  const { user, system } = process.cpuUsage(start)
  assert.ok(user + system < 1e6 * maxSeconds)
  assert.ok(process.memoryUsage.rss() - before < maxBytes)
}

const architecture = '|avg_pool_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|skip_connect~2|'
const short = archResults(3, architecture, madeTrainings(20, 12))
const body = pickle(bytes('](', text('meta'), 'q', 1, 'h', 1, short, 'e'))
const csv = Buffer.from(
  `index,arch_str,cifar10_val\n3,${architecture},50.5\n4,${architecture.replace('avg_pool_3x3', 'none')},\n`,
)

test('files with changed, missing and added bytes', async (t) => {
  const path = join(temporaryFolder(t), 'a')
  const files = fc.constantFrom<Uint8Array>(zipFile(body, {}), legacyFile(body, []), csv)
  await fc.assert(
    fc.asyncProperty(files, changes, async (data, list) => {
      writeFileSync(path, applyChanges(data, list))
      await survives(path)
    }),
    { numRuns: 600 },
  )
})

test('pickles that are changed, in files whose checksums agree', async (t) => {
  const path = join(temporaryFolder(t), 'a')
  await fc.assert(
    fc.asyncProperty(changes, fc.boolean(), async (list, legacy) => {
      const data = applyChanges(body, list)
      writeFileSync(path, legacy ? legacyFile(data, []) : zipFile(data, {}))
      await survives(path)
    }),
    { numRuns: 600 },
  )
})

test('random sequences of allowed opcodes', async (t) => {
  const path = join(temporaryFolder(t), 'a')
  const part = fc.constantFrom<Uint8Array>(
    ...[')', ']', '}', '(', 't', 'a', 'e', 's', 'u', 'R', 'Q', 'b', 'N'].map((code) => bytes(code)),
    ...[0x85, 0x86, 0x87, 0x88, 0x81, 0x8f, 0x90, 0x93, 0x94].map((code) => bytes(code)),
    ...[0, 1].flatMap((index) => [bytes('q', index), bytes('h', index)]),
    ...['numpy', 'dtype', 'f8', 'all_results', 'arch_str', 'arch_index', 'name', 'cifar10'].map(text),
    ...[int(0), int(200), short, bytes('C', 2, 1, 2), bytes('ccollections\nOrderedDict\n', ')R')],
    ...['numpy\ndtype\n', 'numpy.core.multiarray\nscalar\n', '_codecs\nencode\n', 'builtins\nset\n'].map(
      (name) => bytes('c', name),
    ),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 40 }), async (parts) => {
      writeFileSync(path, legacyFile(pickle(...parts), []))
      await survives(path)
    }),
    { numRuns: 600 },
  )
})

test('random bytes behind the beginnings of all kinds', async (t) => {
  const path = join(temporaryFolder(t), 'a')
  const heads = fc.constantFrom(
    ...[Buffer.from('index,arch_str\n'), Buffer.from('PK\x03\x04'), Buffer.from([0x80, 2]), Buffer.alloc(0)],
    legacyFile(pickle(bytes(']')), []).subarray(0, 60),
    Buffer.concat([Buffer.alloc(257), Buffer.from('ustar\x0000')]),
  )
  await fc.assert(
    fc.asyncProperty(heads, fc.uint8Array({ maxLength: 600 }), async (head, rest) => {
      writeFileSync(path, Buffer.concat([head, rest]))
      await survives(path)
    }),
    { numRuns: 600 },
  )
})

test('genuine files, cut and with changed bits', { skip: skipWithoutShared(tssFolder) }, async (t) => {
  const folder = join(temporaryFolder(t), 'tss')
  mkdirSync(folder)
  const name = '000011.pickle.pbz2'
  const data = readFileSync(join(tssFolder, name))
  const place = fc.nat(data.length - 1)
  const damaged = fc.oneof(
    place.map((length) => data.subarray(0, length)),
    fc.tuple(place, fc.nat(7)).map(([at, bit]) => {
      const copy = Buffer.from(data)
      copy[at] ^= 1 << bit
      return copy
    }),
  )
  await fc.assert(
    fc.asyncProperty(damaged, async (file) => {
      writeFileSync(join(folder, name), file)
      await assert.rejects(importNasbench201(folder), { kind: 'data' })
      await survives(folder)
    }),
    { numRuns: 30 },
  )
})

test('tables with changed, missing and added bytes', () => {
  const table = Buffer.from(
    encodeTable({
      ...{ benchmark: 'b', space: 's', architectures: 2, absent: [] },
      source: { kind: 'csv', name: 'n', bytes: 1 },
      columns: [{ name: 'x', unit: '%', values: Float64Array.of(1, 2) }],
      keys: ['a', 'b'],
      indexes: Uint32Array.of(0, 1),
    }),
  )
  fc.assert(
    fc.property(changes, (list) => {
      const data = applyChanges(table, list)
      if (table.equals(data)) return
      assert.throws(
        () => decodeTable(data, 'a'),
        (error) => error instanceof DdsasError && error.kind === 'data',
      )
    }),
    { numRuns: 2000 },
  )
})
