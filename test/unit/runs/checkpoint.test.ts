/** Checkpoints: what is kept, what is replaced, and that every kind of corruption is found and named. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { RunFolder } from '../../../src/runs/folder.ts'
import { assertRefuses, temporaryFolder } from './temporary.ts'

function newRun(t: TestContext, ...steps: number[]): RunFolder {
  const run = RunFolder.create(join(temporaryFolder(t), 'run'), {})
  for (const step of steps) save(run, step)
  return run
}

function save(run: RunFolder, step: number): void {
  run.saveCheckpoint(step, {
    'state.json': `{"step":${step}}`,
    'weights.safetensors': Uint8Array.of(1, 2, 3, step),
  })
}

const place = (run: RunFolder, step: number, ...names: string[]) =>
  join(run.path, 'checkpoints', String(step).padStart(8, '0'), ...names)

test('a checkpoint comes back as it was saved, in buffers of their own', (t) => {
  const run = newRun(t, 5)
  const loaded = run.loadCheckpoint()
  assert.equal(loaded?.step, 5)
  assert.deepEqual([...(loaded?.files.keys() ?? [])], ['state.json', 'weights.safetensors'])
  assert.equal(loaded?.files.get('state.json')?.toString(), '{"step":5}')
  assert.deepEqual([...(loaded?.files.get('weights.safetensors') ?? [])], [1, 2, 3, 5])
  assert.equal(loaded?.files.get('weights.safetensors')?.byteOffset, 0)
  assert.deepEqual(readdirSync(place(run, 5)), ['manifest.json', 'state.json', 'weights.safetensors'])
})

test('two are kept; the step sorts as a number beyond its padding', (t) => {
  const run = newRun(t, 0, 99_999_999)
  assert.deepEqual(run.checkpointSteps(), [0, 99_999_999])
  save(run, 100_000_000)
  assert.deepEqual(run.checkpointSteps(), [99_999_999, 100_000_000])
  assert.equal(RunFolder.open(run.path).loadCheckpoint()?.step, 100_000_000)
  assert.deepEqual(readdirSync(join(run.path, 'checkpoints')), ['100000000', '99999999'])
})

test('saving a step again replaces it', (t) => {
  const run = newRun(t, 1, 2)
  run.saveCheckpoint(2, { 'other.json': 'new' })
  assert.deepEqual(run.checkpointSteps(), [1, 2])
  assert.deepEqual([...(run.loadCheckpoint()?.files.keys() ?? [])], ['other.json'])
})

test('resumed from an earlier one, the later course is given up, and the one resumed from is kept', (t) => {
  const run = newRun(t, 10, 20)
  const resumed = RunFolder.open(run.path)
  assert.equal(resumed.loadCheckpoint(10)?.step, 10)
  save(resumed, 15)
  assert.deepEqual(resumed.checkpointSteps(), [10, 15])
  const again = RunFolder.open(run.path)
  again.loadCheckpoint(10)
  save(again, 30)
  assert.deepEqual(again.checkpointSteps(), [10, 30], '15 is of the course that was given up')
})

test('a step that is not there is bad input with those that are', (t) => {
  assertRefuses(
    () => newRun(t, 10, 20).loadCheckpoint(15),
    'input',
    /no checkpoint 15.*--checkpoint 10 or 20/,
  )
  assertRefuses(() => newRun(t).loadCheckpoint(15), 'input', /no checkpoint 15.*there are none/)
})

test('names and steps that cannot be are refused before anything is written', (t) => {
  const run = newRun(t)
  for (const name of ['../a', 'a/b', '.hidden', '', 'manifest.json', 'a\nb', '..']) {
    assertRefuses(() => run.saveCheckpoint(1, { [name]: '' }), 'checkpoint', /not plain/)
  }
  for (const step of [-1, 1.5, Number.NaN]) assertRefuses(() => save(run, step), 'checkpoint', /not a count/)
  assert.deepEqual(readdirSync(run.path), ['config.json'])
})

test('every flipped bit of every file is found, named, and the previous one offered', (t) => {
  const run = newRun(t, 1, 2)
  for (const name of readdirSync(place(run, 2))) {
    const path = place(run, 2, name)
    const good = readFileSync(path)
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = Buffer.from(good)
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      writeFileSync(path, bad)
      assertRefuses(
        () => run.loadCheckpoint(),
        'checkpoint',
        /checkpoint 2 .*; take the previous one with --checkpoint 1$/,
      )
      if (name !== 'manifest.json') {
        assertRefuses(() => run.loadCheckpoint(), 'checkpoint', new RegExp(`corrupt: ${name} has sha256`))
      }
    }
    writeFileSync(path, good)
  }
  assert.equal(run.loadCheckpoint()?.step, 2)
  assert.equal(run.loadCheckpoint(1)?.step, 1)
})

test('every truncation of every file is found', (t) => {
  const run = newRun(t, 1)
  for (const name of readdirSync(place(run, 1))) {
    const good = readFileSync(place(run, 1, name))
    // Without its last newline the manifest still says all it has to say.
    const whole = name === 'manifest.json' ? good.length - 1 : good.length
    for (let size = 0; size < whole; size++) {
      writeFileSync(place(run, 1, name), good.subarray(0, size))
      assertRefuses(
        () => run.loadCheckpoint(),
        'checkpoint',
        new RegExp(name),
        /no previous one: begin a new run$/,
      )
    }
    writeFileSync(place(run, 1, name), Buffer.concat([good, Buffer.of(120)]))
    assertRefuses(() => run.loadCheckpoint(), 'checkpoint', new RegExp(name))
    rmSync(place(run, 1, name))
    assertRefuses(() => run.loadCheckpoint(), 'checkpoint', new RegExp(`${name} is missing`))
    writeFileSync(place(run, 1, name), good)
  }
})

test('hostile manifests and files: outside paths, sizes without end, links, pipes, folders', (t) => {
  const run = newRun(t, 1)
  const digest = '0'.repeat(64)
  const manifest = (files: unknown, step: unknown = 1) =>
    writeFileSync(place(run, 1, 'manifest.json'), JSON.stringify({ step, files }))
  const refused = (...patterns: RegExp[]) =>
    assertRefuses(() => run.loadCheckpoint(), 'checkpoint', ...patterns)
  for (const name of ['../../config.json', '/etc/passwd', '.', 'a b', '']) {
    writeFileSync(
      place(run, 1, 'manifest.json'),
      `{"step":1,"files":{"${name}":{"size":1,"sha256":"${digest}"}}}`,
    )
    refused(/manifest\.json/)
  }
  for (const size of [-1, 1.5, '3', null]) {
    manifest({ 'state.json': { size, sha256: digest } })
    refused(/manifest\.json does not list/)
  }
  manifest({ a: { size: 3 * 1024 ** 3, sha256: digest }, b: { size: 3 * 1024 ** 3, sha256: digest } })
  refused(/more than 4 GiB/)
  manifest({}, 7)
  refused(/is of step 7/)
  manifest({ file: { size: 4, sha256: digest } })
  symlinkSync('/dev/zero', place(run, 1, 'file'))
  refused(/file: ELOOP/)
  rmSync(place(run, 1, 'file'))
  execFileSync('mkfifo', [place(run, 1, 'file')])
  refused(/file is not a file/)
  rmSync(place(run, 1, 'file'))
  mkdirSync(place(run, 1, 'file'))
  refused(/file is not a file/)
  truncateSync(place(run, 1, 'manifest.json'), 2 * 1024 ** 2)
  refused(/manifest\.json has 2097152 bytes/)
})

test('other names in the folder are no checkpoints', (t) => {
  const run = newRun(t, 3)
  for (const name of ['12', '000000005', '1e9', 'best', '.writing-00000009', '.removed-00000008']) {
    mkdirSync(join(run.path, 'checkpoints', name))
  }
  writeFileSync(join(run.path, 'checkpoints', '00000004'), 'a file')
  assert.deepEqual(run.checkpointSteps(), [3])
  save(run, 6)
  assert.deepEqual(run.checkpointSteps(), [3, 6])
})
