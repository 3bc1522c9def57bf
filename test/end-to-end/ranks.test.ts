/** Several processes for one run: the losses of one, its death, its resume with another number, and what they must have alike. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { RunFolder } from '../../src/runs/folder.ts'
import { groupBackends } from '../../src/torch/index.ts'
import { ddsas, type Ended, program, set, start, startHeld, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { metricsOf } from './runs.ts'

const place = workplace()
after(() => place.remove())
const data = writeImages(join(place.path, 'data'))
const skip = groupBackends().includes('gloo') ? false : 'this build has no process groups (libgloo-dev)'

/** A search of four steps, of batches that do not divide by two or three. */
const search = (out: string, ...more: readonly string[]): string[] => [
  ...['search', 'cifar10', '--data', data, '--seed', '1', '--epochs', '1', '--out', join(place.path, out)],
  ...tiny,
  ...set('data.images=30', 'data.batch=5', 'evaluation.images=9', 'evaluation.batch=4', ...more),
]

const stepsOf = (out: string) => metricsOf(join(place.path, out)).filter(({ kind }) => kind === 'step')

type Line = Record<string, unknown>

/** Every number of every step, or of what `of` takes of it, close to those of another run. */
function assertClose(out: string, reference: string, of: (step: Line) => unknown = (step) => step): void {
  const [own, other] = [stepsOf(out).map(of), stepsOf(reference).map(of)]
  assert.equal(own.length, other.length)
  const numbers = (line: unknown): number[] =>
    typeof line === 'number'
      ? [line]
      : typeof line === 'object' && line !== null
        ? Object.values(line).flatMap(numbers)
        : []
  for (const [index, line] of own.entries())
    for (const [at, value] of numbers(line).entries()) {
      const wanted = numbers(other[index])[at]
      assert.ok(
        Math.abs(value - wanted) <= 2e-4 * Math.max(1, Math.abs(wanted)),
        `step ${index + 1}: ${value}, ${wanted}`,
      )
    }
}

test('two processes with synchronised batch norms have the losses of one; twice the same bits', {
  skip,
}, async () => {
  await succeed(search('one'))
  await ddsas([...search('two', 'syncBatchNorm=true'), '--nproc', '2'])
  assertClose('two', 'one')
  await ddsas([...search('three'), '--nproc', '3'])
  await ddsas([...search('again'), '--nproc', '3'])
  assert.deepEqual(metricsOf(join(place.path, 'again')), metricsOf(join(place.path, 'three')))
  // by the statistics of each one's own images
  assert.notDeepEqual(stepsOf('three'), stepsOf('one'))
})

test('a rank that is killed ends the others; any number of processes goes on', { skip }, async () => {
  const out = join(place.path, 'killed')
  const args = [...search('killed', 'checkpoint.steps=1', 'data.images=0'), '--nproc', '3', '--json']
  const { child, ended, release } = await startHeld(args, /"kind":"step"/, 2)
  assert.equal(RunFolder.open(out).checkpointSteps().at(-1), 2)
  const [victim] = execFileSync('pgrep', ['-P', String(child.pid)])
    .toString()
    .trim()
    .split('\n')
  process.kill(Number(victim), 'SIGKILL')
  release()
  const { code, stderr } = await ended
  assert.equal(code, 1)
  assert.match(stderr, /rank [12] \(.+, process \d+\) is gone.+from the checkpoint after step \d+.+--resume/)
  assert.throws(() => process.kill(Number(victim), 0))
  assert.equal((await ddsas(['search', '--resume', out, '--nproc', '2'])).code, 0)
  const steps = stepsOf('killed').map(({ globalStep }) => globalStep)
  assert.deepEqual(
    steps,
    Array.from({ length: 20 }, (_, index) => index + 1),
  )
})

/** Processes as torchrun starts them, each with its own arguments and variables. */
async function torchrun(
  each: readonly { readonly args: readonly string[]; readonly env?: NodeJS.ProcessEnv }[],
): Promise<Ended[]> {
  const port = String(await freePort())
  const ended = each.map(({ args, env }, rank) => {
    const variables = { RANK: String(rank), WORLD_SIZE: String(each.length), LOCAL_RANK: String(rank) }
    const where = { MASTER_ADDR: '127.0.0.1', MASTER_PORT: port }
    return start(args, place.path, { ...process.env, ...variables, ...where, ...env }).ended
  })
  return Promise.all(ended)
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

test('what ranks have not alike is named before anything is written', { skip }, async () => {
  const other = writeImages(join(place.path, 'other'), 40, 1)
  const [seed] = await torchrun([{ args: search('unlike') }, { args: [...search('unlike'), '--seed', '2'] }])
  assert.deepEqual([seed.code, seed.stdout], [1, ''])
  assert.match(seed.stderr, /^ddsas: the setting seed is 2 for rank 1 \(.+\), and 1 for rank 0/)
  const [images] = await torchrun([
    { args: search('unlike') },
    { args: [...search('unlike'), '--data', other] },
  ])
  assert.match(images.stderr, /^ddsas: the fingerprint of the images is .+ for rank 1/)
  const [kernels] = await torchrun([
    { args: search('unlike') },
    { args: search('unlike'), env: { DDSAS_SIMD: 'portable' } },
  ])
  assert.match(kernels.stderr, /^ddsas: the instruction set of the kernels .+ is portable for rank 1/)
  const [failed] = await torchrun([
    { args: search('unlike') },
    { args: [...search('unlike'), '--data', 'absent'] },
  ])
  assert.match(failed.stderr, /^ddsas: rank 1 \(.+\) of 2 ended: .*absent/)
  assert.ok(!existsSync(join(place.path, 'unlike')))
})

test('a rank that never comes is named when time is up', { skip }, async () => {
  const env = { DDSAS_JOIN_SECONDS: '2', WORLD_SIZE: '3' }
  const [first] = await torchrun([{ args: search('absent'), env }])
  assert.equal(first.code, 1)
  assert.match(first.stderr, /^ddsas: rank 1, rank 2 of 3 never came within 2 seconds: .+DDSAS_JOIN_SECONDS/)
  const [late] = await torchrun([{ args: search('absent'), env: { ...env, RANK: '2' } }])
  assert.match(late.stderr, /rank 0 never came: nothing answers at 127.0.0.1:\d+/)
  const [both] = await torchrun([{ args: [...search('absent'), '--nproc', '2'], env }])
  assert.deepEqual([both.code, /--nproc 2 with RANK/.test(both.stderr)], [2, true])
})

test('settings that several processes cannot keep to are refused', { skip }, async () => {
  const { code, stderr } = await ddsas([
    ...search('parts', 'syncBatchNorm=true', 'data.microBatch=2'),
    '--nproc',
    '2',
  ])
  assert.deepEqual([code, /^ddsas: syncBatchNorm = true with data.microBatch = 2/.test(stderr)], [2, true])
})

test('a training of two processes has the losses and the error of one', { skip }, async () => {
  const train = (out: string): string[] => [
    ...['train', 'DDSAS_cifar10', '--data', data, '--epochs', '2', '--out', join(place.path, out)],
    ...set('network.channels=4', 'network.cells=3', 'data.batch=7', 'data.images=24', 'evaluation.batch=50'),
    ...set('threads=1', 'syncBatchNorm=true', 'dropPath=0.3', 'data.validation=0.2'),
  ]
  await succeed(train('train-one'))
  const { code, stderr } = await ddsas([...train('train-two'), '--nproc', '2'])
  assert.deepEqual([code, stderr], [0, ''])
  // the norms of so few images double a difference of rounding with each step: those of the kernels and of ATen differ, too
  assertClose('train-two', 'train-one', ({ globalStep, train }) => (Number(globalStep) < 3 ? train : null))
  const [own, other] = ['train-two', 'train-one'].map((out) => metricsOf(join(place.path, out)).at(-1))
  assert.deepEqual([own?.kind, Object.keys(own ?? {})], ['report', Object.keys(other ?? {})])
})

/** Runs a command as it is, to its end. */
function command(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (text) => {
    output.stdout += String(text)
  })
  child.stderr.on('data', (text) => {
    output.stderr += String(text)
  })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...output })))
}

/** Two hosts, as far as the network goes; false where nobody may make them. */
function makeHosts(names: readonly string[]): boolean {
  const [one, two] = names
  const ip = (line: string) => execFileSync('ip', line.split(' '), { stdio: 'ignore' })
  try {
    for (const name of names) ip(`netns add ${name}`)
    ip(`link add eth0 netns ${one} type veth peer name eth0 netns ${two}`)
    for (const [index, name] of names.entries()) {
      ip(`-n ${name} addr add 10.77.0.${index + 1}/24 dev eth0`)
      for (const link of ['lo', 'eth0']) ip(`-n ${name} link set ${link} up`)
    }
    return true
  } catch {
    return false
  }
}

test('two hosts search together', { skip }, async (context) => {
  const hosts = [1, 2].map((host) => `ddsas-${process.pid}-${host}`)
  try {
    if (!makeHosts(hosts)) return context.skip('network namespaces may not be made here')
    const ended = await Promise.all(
      hosts.map((host, rank) =>
        command('ip', ['netns', 'exec', host, process.execPath, program, ...search('hosts')], {
          ...{ RANK: String(rank), WORLD_SIZE: '2', MASTER_ADDR: '10.77.0.1', MASTER_PORT: '29500' },
        }),
      ),
    )
    for (const { code, stderr } of ended) assert.deepEqual([code, stderr], [0, ''])
    assert.deepEqual([ended[1].stdout, stepsOf('hosts').length], ['', 3])
  } finally {
    for (const host of hosts) await command('ip', ['netns', 'del', host])
  }
})
