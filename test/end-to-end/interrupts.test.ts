/** What stops a run from outside: a reader that leaves, a terminal that closes; both save, and a resume loses nothing. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { runSearch } from '../../src/index.ts'
import { RunFolder } from '../../src/runs/folder.ts'
import { holding, set, start, startHeld, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const program = join(import.meta.dirname, '../../bin/ddsas.mjs')
const small = [...tiny, ...set('checkpoint.steps=0'), '--epochs', '2', '--data', data]
const kinds = { search: ['search', 'cifar10'], train: ['train', 'DDSAS_cifar10'] } as const
const settings = {
  search: small,
  train: set(
    'network.channels=4',
    'network.cells=3',
    'data.batch=16',
    'evaluation.batch=20',
    'threads=1',
  ).concat('--epochs', '2', '--data', data),
}

before(async () => {
  writeImages(data, 16)
  for (const kind of ['search', 'train'] as const)
    await succeed([...kinds[kind], ...settings[kind], '--out', join(place.path, kind)])
})
after(place.remove)

for (const kind of ['search', 'train'] as const) {
  test(`${kind}: a reader that has seen enough stops the run, which is saved and goes on`, async () => {
    const out = join(place.path, `${kind} unread`)
    const args = [...kinds[kind], ...settings[kind], '--json', '--out', out]
    const { child, ended, release } = await startHeld(args, /./, 0, place.path)
    child.stdout?.destroy()
    release()
    const { code, stderr } = await ended
    assert.equal(code, 130, stderr)
    assert.match(stderr, /stopped after step \d+, saved; go on with: /)
    assert.equal(existsSync(join(out, 'lock')), false)
    assert.ok(RunFolder.open(out).checkpointSteps().length > 0)
    await succeed([kinds[kind][0], '--resume', out])
    assertSameRun(out, join(place.path, kind))
  })

  test(`${kind}: a terminal that closes, and says so twice, stops the run, which is saved`, async () => {
    const out = join(place.path, `${kind} hung up`)
    const args = [...kinds[kind], ...settings[kind], '--json', '--out', out]
    const run = await startHeld(args, /"kind":"step"/, 0, place.path)
    run.child.kill('SIGHUP')
    run.child.kill('SIGHUP')
    run.release()
    const { code, stderr } = await run.ended
    assert.equal(code, 130, stderr)
    assert.match(stderr, /saved; go on with/)
    await succeed([kinds[kind][0], '--resume', out])
    assertSameRun(out, join(place.path, kind))
  })
}

const script = spawnSync('script', ['--version']).error === undefined

test('a window that closes its terminal stops the run, which is saved, and ends by the hang-up, not by an abort', {
  skip: script ? false : 'no `script` (util-linux) to make a terminal with',
}, async () => {
  const out = join(place.path, 'window closed')
  const status = join(place.path, 'status')
  const args = [...kinds.search, ...settings.search, '--out', out]
  // it goes no further than its first epoch before the window closes
  const { options, variables, release } = holding(/epoch +1/)
  const command = [process.execPath, ...options, program, ...args].map((word) => `'${word}'`).join(' ')
  const terminal = spawn(
    'script',
    ['-q', '-c', `trap : HUP; ${command}; echo $? > '${status}'`, join(place.path, 'typescript')],
    { stdio: ['pipe', 'ignore', 'ignore'], cwd: place.path, env: { ...variables, NODE_OPTIONS: '' } },
  )
  const metrics = join(out, 'metrics.jsonl')
  while (!existsSync(metrics)) await pause(20)
  terminal.kill('SIGKILL')
  release()
  while (!existsSync(status) || readFileSync(status, 'utf8') === '') await pause(20)
  assert.equal(readFileSync(status, 'utf8'), '129\n')
  assert.equal(existsSync(join(out, 'lock')), false)
  assert.ok(RunFolder.open(out).checkpointSteps().length > 0)
  await succeed(['search', '--resume', out])
  assertSameRun(out, join(place.path, 'search'))
})

const request = {
  preset: 'cifar10',
  settings: tiny.filter((word) => word !== '--set'),
  data,
}

test('a library call takes short options and a signal, and leaves SIGINT to its program', async () => {
  const controller = new AbortController()
  const out = join(place.path, 'aborted')
  const before = process.listenerCount('SIGINT')
  await assert.rejects(
    runSearch(
      { ...request, out, epochs: 3, seed: 0, threads: 1, signal: controller.signal },
      { step: ({ globalStep }) => globalStep === 2 && controller.abort() },
    ),
    { name: 'DdsasError', kind: 'interrupted', message: /after step 2, saved/ },
  )
  assert.equal(process.listenerCount('SIGINT'), before)
  const { run } = await runSearch({ resume: out })
  assert.equal(run.readMetrics().filter(({ kind }) => kind === 'epoch').length, 3)
})

test('an option that does not exist, or is of another type, is refused by its name', async () => {
  const refused = (more: object, message: RegExp) =>
    assert.rejects(runSearch({ ...request, out: join(place.path, 'never'), ...more }), {
      name: 'DdsasError',
      kind: 'input',
      message,
    })
  await refused({ epoch: 1 }, /runSearch: there is no option 'epoch'; known are preset, config, settings/)
  await refused({ settings: 'epochs=1' }, /runSearch: settings: expected array/)
  await refused({ epochs: 0 }, /runSearch: epochs/)
  await refused({ signal: 3 }, /signal: expected an AbortSignal/)
  assert.equal(existsSync(join(place.path, 'never')), false)
})

test('two searches that begin at once with the default folder each have their own', async () => {
  const args = [...kinds.search, ...tiny, '--epochs', '1', '--data', data]
  const both = await Promise.all([1, 2].map(() => start(args, place.path).ended))
  for (const { code, stderr } of both) assert.deepEqual([code, stderr], [0, ''])
  for (const name of ['cifar10', 'cifar10-2'])
    assert.ok(RunFolder.open(join(place.path, 'runs', name)).readMetrics().length > 0)
})

test('two searches that begin at once with one folder: one runs, the other is told in one line', async () => {
  const out = join(place.path, 'contested')
  const args = [...kinds.search, ...tiny, '--epochs', '1', '--data', data, '--out', out]
  const both = await Promise.all([1, 2].map(() => start(args, place.path).ended))
  assert.deepEqual(both.map(({ code }) => code).sort(), [0, 2], both.map(({ stderr }) => stderr).join())
  const refused = both.find(({ code }) => code === 2)
  assert.match(refused?.stderr ?? '', /^ddsas: [^\n]*(is not empty|is held by)[^\n]*\n$/)
})

test('a search that ends within its first window says that its cell will say nothing, many threads that they wait', async () => {
  const printed = await succeed(
    [
      ...kinds.search,
      ...tiny,
      ...set('ddsas.window=500'),
      '--epochs',
      '1',
      '--data',
      data,
      '--threads',
      String(availableParallelism() + 1),
    ],
    place.path,
  )
  assert.match(printed, /^warning: the search ends with its first window \(\d+ steps, M = 500\)/m)
  assert.match(printed, /^warning: \d+ threads on \d+ processors take longer/m)
})
