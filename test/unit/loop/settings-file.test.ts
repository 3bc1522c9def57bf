/** `--config FILE`: settings from a file that anybody may have written, on top of a preset and below `--set`. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { DdsasError } from '../../../src/errors.ts'
import { newRecord, requestedConfig, resumedConfig } from '../../../src/loop/record.ts'
import { trainPreset } from '../../../src/retrain/presets.ts'
import { trainKind } from '../../../src/retrain/run.ts'
import type { SearchConfig } from '../../../src/search/config.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { searchKind } from '../../../src/search/request.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'

const preset = searchPreset('demo')
const data = { directory: 'data', fingerprint: '0' }

/** The settings of the preset with a file that holds `content`, as JSON unless it is text. */
function withFile(t: TestContext, content: unknown, ...settings: readonly string[]): SearchConfig {
  const config = join(temporaryFolder(t), 'mine.json')
  writeFileSync(config, typeof content === 'string' ? content : JSON.stringify(content))
  return requestedConfig(searchKind, preset, { config, settings })
}

const refuses = (t: TestContext, content: unknown, ...patterns: RegExp[]) =>
  assertRefuses(() => withFile(t, content), 'input', ...patterns)

test('some settings or all, nested as in config.json; --set and short options come after', (t) => {
  assert.deepEqual(withFile(t, {}), preset)
  assert.deepEqual(withFile(t, preset), preset)
  const given = { seed: 7, data: { batch: 8 }, ddsas: { changes: [] }, memory: { limit: '4 GiB' } }
  const wanted = {
    ...preset,
    seed: 7,
    data: { ...preset.data, batch: 8 },
    memory: { ...preset.memory, limit: 2 ** 32 },
  }
  assert.deepEqual(withFile(t, given), wanted)
  assert.deepEqual(withFile(t, `\uFEFF${JSON.stringify(given)}`), wanted)
  assert.equal(withFile(t, given, 'seed=9').seed, 9)
  const config = join(temporaryFolder(t), 'mine.json')
  writeFileSync(config, JSON.stringify(given))
  const { seed, data: images } = requestedConfig(searchKind, preset, {
    config,
    settings: ['seed=8'],
    seed: 9,
  })
  assert.deepEqual([seed, images.batch], [9, 8])
})

test('config.json of a run is understood, of its own kind and version', (t) => {
  const own = { ...preset, seed: 5, epochs: 3 }
  const record = newRecord(searchKind, 'demo', own, 'cpu', data)
  assert.deepEqual(withFile(t, record), own)
  const other = newRecord(trainKind, 'folder', trainPreset('folder'), 'cpu', data)
  refuses(t, other, /mine\.json is of a run that is no search; name settings of a search$/)
  const { format: _, ...old } = { ...record, config: { weights: { rate: 1 } } }
  refuses(t, old, /mine\.json is of an earlier version of ddsas \(setting 'weights\.rate'\)/)
  refuses(t, { ...record, format: 3 }, /mine\.json is of a later version of ddsas/)
})

test('what is unknown is named, with the nearest there is', (t) => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [
      { data: { bach: 3 } },
      /mine\.json: there is no setting 'data\.bach'; the nearest is 'data\.batch', and all/,
    ],
    [
      { sed: 3 },
      /there is no setting 'sed'; the nearest is 'seed', and all are listed by: npx ddsas config keys$/,
    ],
    [{ lr: 3 }, /there is no setting 'lr'; the nearest is 'weightOptimizer\.lr'/],
    [{ archOptimizer: { LR: 3 } }, /no setting 'archOptimizer\.LR'; the nearest is 'archOptimizer\.lr'/],
    [
      { optimizer: { weightDecay: 3 } },
      /no setting 'optimizer\.weightDecay'; the nearest is '\w+\.weightDecay'/,
    ],
    [{ weights: { rate: 3 } }, /no setting 'weights\.rate'; it is now 'weightOptimizer\.lr'$/],
    [{ weights: {} }, /there is no setting 'weights'; the nearest is/],
    [
      { 'data.batch': 3 },
      /there is no setting 'data\.batch'; write it nested, as config\.json of a run has it$/,
    ],
    [{ config: 3 }, /there is no setting 'config'; the nearest is/],
    ['{"__proto__": {"seed": 3}}', /there is no setting '__proto__\.seed'; the nearest is 'seed'/],
    ['{"data": {"constructor": 1}}', /there is no setting 'data\.constructor'/],
  ]
  for (const [content, pattern] of cases) refuses(t, content, pattern)
})

test('what has the wrong type is named, with the file', (t) => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ seed: 'x' }, /mine\.json: seed: expected number, received string$/],
    [{ seed: {} }, /mine\.json: seed: expected number, received object$/],
    [{ seed: null }, /mine\.json: seed: expected number, received null$/],
    [{ data: 3 }, /mine\.json: data is a group of settings: images, batch, microBatch, /],
    [{ data: null }, /mine\.json: data is a group of settings/],
    [{ data: [] }, /mine\.json: data is a group of settings/],
    [{ data: { batch: 0 } }, /mine\.json: data\.batch: .*>0/],
    [{ device: 'tpu' }, /mine\.json: device: auto, cpu, cuda or cuda:N is wanted$/],
    [{ ddsas: { changes: [{ epoch: 1 }] } }, /mine\.json: ddsas\.changes\.0\.change: /],
  ]
  for (const [content, pattern] of cases) refuses(t, content, pattern)
})

test('what is no file of settings is refused before it is read, or at once', (t) => {
  refuses(t, '', /mine\.json is empty/)
  refuses(t, 'seed: 3', /mine\.json is not valid JSON/)
  for (const content of ['[]', '3', 'null', '"seed"'])
    refuses(t, content, /mine\.json is not a JSON object; write settings as config\.json of a run has them$/)
  const long = `{"seed": 3${' '.repeat(2 ** 20)}}`
  refuses(t, long, /mine\.json has \d+ bytes, more than 1 MiB; name a JSON file$/)
  assert.equal(withFile(t, `${long.slice(0, 2 ** 20 - 1)}}`).seed, 3)
  const folder = temporaryFolder(t)
  const asked = (config: string) => () => requestedConfig(searchKind, preset, { config })
  assertRefuses(asked(join(folder, 'none')), 'input', /none does not exist; name a JSON file of settings$/)
  assertRefuses(asked(folder), 'input', /is not a file; name a JSON file$/)
  assertRefuses(asked('/dev/zero'), 'input', /is not a file/)
  execFileSync('mkfifo', [join(folder, 'pipe')])
  assertRefuses(asked(join(folder, 'pipe')), 'input', /is not a file/)
  mkdirSync(join(folder, 'closed'))
})

test('a hostile file costs neither the stack nor the terminal', (t) => {
  const deep = 200_000
  refuses(t, `${'{"a":'.repeat(deep / 2)}1${'}'.repeat(deep / 2)}`, /there is no setting 'a\.a\.a'/)
  refuses(
    t,
    `{"data":${'{"a":'.repeat(deep / 2)}1${'}'.repeat(deep / 2)}}`,
    /there is no setting 'data\.a\.a\.a'/,
  )
  refuses(t, `{"seed":${'['.repeat(deep)}${']'.repeat(deep)}}`, /seed: expected number, received array/)
  assert.throws(
    () => withFile(t, { [`x\u001b[31m${'y'.repeat(1e5)}`]: 1 }),
    ({ message }: Error) => message.length < 400 && !/\p{Cc}/u.test(message),
  )
  const many = Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`a${index}`, index]))
  refuses(t, many, /there is no setting 'a0'/)
})

test('any JSON is settings or refused in one line', (t) => {
  const config = join(temporaryFolder(t), 'any.json')
  const key = fc.oneof(fc.string(), fc.constantFrom('data', 'seed', 'ddsas', 'batch', 'config', 'weights'))
  const tree = fc.letrec((tie) => ({
    node: fc.oneof({ depthSize: 'small' }, fc.jsonValue(), fc.dictionary(key, tie('node'))),
  })).node
  fc.assert(
    fc.property(fc.dictionary(key, tree), (content) => {
      writeFileSync(config, JSON.stringify(content))
      try {
        const keys = Object.keys(requestedConfig(searchKind, preset, { config }))
        assert.deepEqual(keys.sort(), Object.keys(preset).sort())
      } catch (error) {
        assert.ok(error instanceof DdsasError && error.kind === 'input', String(error))
        assert.doesNotMatch(error.message, /\p{Cc}/u)
      }
    }),
  )
})

test('a resume takes a file that changes nothing but what may change', (t) => {
  const record = newRecord(searchKind, 'demo', preset, 'cpu', data)
  const config = join(temporaryFolder(t), 'mine.json')
  const resume = (content: object) => {
    writeFileSync(config, JSON.stringify(content))
    return resumedConfig(searchKind, record, { config })
  }
  assert.deepEqual(resume(record), preset)
  assert.deepEqual(resume({ threads: 7 }), { ...preset, threads: 7 })
  assertRefuses(() => resume({ seed: 7 }), 'input', /seed is 0 in the run, not 7; resume without it/)
})
