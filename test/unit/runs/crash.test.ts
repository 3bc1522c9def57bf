/** Kills: one simulated at every single call to the file system, and real ones at random moments. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { writeFileAtomic } from '../../../src/runs/files.ts'
import { RunFolder } from '../../../src/runs/folder.ts'
import { temporaryFolder } from './temporary.ts'

const killed = new Error('killed')
const calls = [
  'openSync',
  'writeSync',
  'fsyncSync',
  'renameSync',
  'mkdirSync',
  'rmSync',
  'appendFileSync',
] as const

/** Lets `allowed` writing calls through; the next is done by half, and it and all later ones fail. */
function killAfter(t: TestContext, allowed: number, action: () => void): boolean {
  let count = 0
  for (const name of calls) {
    const original: (...args: never[]) => unknown = fs[name]
    t.mock.method(fs, name, (...args: never[]) => {
      if (count++ < allowed) return original(...args)
      if (count === allowed + 1) half(name, args)
      throw killed
    })
  }
  syncBuiltinESMExports()
  try {
    action()
    return false
  } catch (error) {
    assert.equal(error, killed)
    return true
  } finally {
    t.mock.restoreAll()
    syncBuiltinESMExports()
  }
}

const { rmSync, writeSync, readdirSync } = fs

function half(name: string, [first, data]: readonly unknown[]): void {
  if (name === 'writeSync' && typeof first === 'number' && data instanceof Uint8Array) {
    writeSync(first, data, 0, data.length >> 1)
  } else if (name === 'rmSync' && typeof first === 'string') {
    const [entry] = fs.statSync(first).isDirectory() ? readdirSync(first) : []
    if (entry !== undefined) rmSync(join(first, entry), { recursive: true })
  }
}

function save(run: RunFolder, step: number, text: string): void {
  run.saveCheckpoint(step, { 'a.json': text, 'b.bin': Buffer.from(text.repeat(10)) })
}

/** The latest checkpoint as a text `<step> <content>`, verified. */
function latest(path: string): string {
  const loaded = RunFolder.open(path).loadCheckpoint()
  const text = loaded?.files.get('a.json')?.toString() ?? ''
  assert.equal(loaded?.files.get('b.bin')?.toString(), text.repeat(10))
  return `${loaded?.step} ${text}`
}

const scenes: readonly {
  name: string
  before: number[]
  from?: number
  step: number
  allowed: string[]
  after: number[]
}[] = [
  { name: 'the second', before: [10], step: 20, allowed: ['10 old', '20 new'], after: [20, 99] },
  { name: 'a third', before: [10, 20], step: 30, allowed: ['20 old', '30 new'], after: [30, 99] },
  { name: 'the only one again', before: [10], step: 10, allowed: ['10 old', '10 new'], after: [10, 99] },
  { name: 'the last again', before: [10, 20], step: 20, allowed: ['20 old', '20 new'], after: [20, 99] },
  {
    name: 'one between',
    before: [10, 20],
    from: 10,
    step: 15,
    allowed: ['20 old', '10 old', '15 new'],
    after: [15, 99],
  },
]

for (const { name, before, from, step, allowed, after } of scenes) {
  test(`killed at any call while saving ${name}, a whole checkpoint is the latest`, (t) => {
    const seen = new Set<string>()
    for (let call = 0, alive = false; !alive; call++) {
      assert.ok(call < 200)
      const run = RunFolder.create(join(temporaryFolder(t), 'run'), {})
      for (const earlier of before) save(run, earlier, 'old')
      const writer = RunFolder.open(run.path)
      if (from !== undefined) writer.loadCheckpoint(from)
      alive = !killAfter(t, call, () => save(writer, step, 'new'))
      seen.add(latest(run.path))
      for (const kept of RunFolder.open(run.path).checkpointSteps())
        RunFolder.open(run.path).loadCheckpoint(kept)
      const resumed = RunFolder.open(run.path)
      resumed.lock()()
      assert.ok(readdirSync(join(run.path, 'checkpoints')).every((entry) => /^\d{8}$/.test(entry)))
      const last = resumed.loadCheckpoint()?.step
      save(resumed, 99, 'next')
      assert.deepEqual(resumed.checkpointSteps(), [last, 99])
      if (alive) assert.deepEqual(resumed.checkpointSteps(), after)
    }
    assert.deepEqual([...seen].sort(), [...allowed].sort())
  })
}

test('killed at any call, an atomic file is old or new and metrics lose nothing', (t) => {
  for (let call = 0, alive = false; !alive; call++) {
    const run = RunFolder.create(join(temporaryFolder(t), 'run'), {})
    run.appendMetrics({ step: 1 })
    const bytes = run.logLengths
    run.appendMetrics({ step: 2 })
    const path = join(run.path, 'config.json')
    alive = !killAfter(t, call, () => {
      writeFileAtomic(path, '{"new":true}')
      run.truncateLogs(bytes)
      run.appendMetrics({ step: 2, again: true })
    })
    assert.ok(['{}\n', '{"new":true}'].includes(fs.readFileSync(path, 'utf8')))
    const steps = run.readMetrics().map((record) => JSON.stringify(record))
    assert.ok(
      ['{"step":1},{"step":2}', '{"step":1}', '{"step":1},{"step":2,"again":true}'].includes(steps.join()),
    )
    RunFolder.open(run.path).lock()()
    assert.deepEqual(readdirSync(run.path), ['config.json', 'metrics.jsonl'])
  }
})

test('a process killed at random moments leaves a whole checkpoint and a lock that is taken over', async (t) => {
  const run = RunFolder.create(join(temporaryFolder(t), 'run'), {})
  save(run, 0, 'first')
  const module = pathToFileURL(join(import.meta.dirname, '../../../src/runs/folder.ts')).href
  const program = `
    import { RunFolder } from ${JSON.stringify(module)}
    const run = RunFolder.open(${JSON.stringify(run.path)})
    run.lock()
    let step = run.loadCheckpoint().step
    run.truncateLogs({ metricsBytes: 0, windowsBytes: 0 })
    for (;;) {
      const text = 'x'.repeat(++step % 5000)
      run.appendMetrics({ step, text })
      run.saveCheckpoint(step, { 'a.json': text, 'b.bin': Buffer.from(text.repeat(10)) })
      console.log('saved')
    }`
  let last = 0
  for (let round = 0; round < 4; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.after(() => child.kill('SIGKILL'))
    await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))
    child.stdout.resume()
    await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 200))
    await new Promise((resolve) => child.once('exit', resolve).kill('SIGKILL'))
    const step = Number(latest(run.path).split(' ')[0])
    assert.ok(step >= last)
    last = step
    assert.ok(run.readMetrics().length > 0)
  }
  assert.ok(last > 0)
  RunFolder.open(run.path).lock()()
})
