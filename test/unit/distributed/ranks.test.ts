/** What ranks compare: facts at the start, digests of what they hold; and a group of processes that sums. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { test } from 'node:test'
import { checkDigests, checkSame, oneProcess, threadsFor } from '../../../src/distributed/ranks.ts'
import { groupBackends, Tensor } from '../../../src/torch/index.ts'

const names = ['rank 0 (a)', 'rank 1 (b)', 'rank 2 (c)']

test('a rank with another fact is named, with the fact and both values', () => {
  checkSame(names, ['{"seed":"1"}', '{"seed":"1"}', '{"seed":"1"}'])
  assert.throws(() => checkSame(names, ['{"seed":"1"}', '{"seed":"1"}', '{"seed":"2"}']), {
    kind: 'rank',
    message: /^seed is 2 for rank 2 \(c\), and 1 for rank 0 \(a\)/,
  })
  assert.throws(() => checkSame(names, ['{"a":"1"}', '{}', '{"a":"1"}']), {
    kind: 'rank',
    message: /^a is not set for rank 1/,
  })
})

test('the rank whose digest differs from most is named, be it rank 0', () => {
  checkDigests(names, ['x', 'x', 'x'], 'after step 3')
  for (const [digests, odd] of [
    [['x', 'x', 'y'], /after step 3 rank 2 \(c\) has other/],
    [['y', 'x', 'x'], /after step 3 rank 0 \(a\) has other/],
    [['x', 'y'], /after step 3 rank 1 \(b\) has other/],
  ] as const)
    assert.throws(() => checkDigests(names.slice(0, digests.length), digests, 'after step 3'), {
      kind: 'rank',
      message: odd,
    })
})

test('threads are divided among the ranks of a machine', () => {
  assert.deepEqual(
    [1, 2, 3, 8].map((localWorld) => threadsFor(6, { localWorld })),
    [6, 3, 2, 1],
  )
})

test('one process is its own sum, and says what it is given', () => {
  const x = Tensor.from(Float32Array.of(1, 2), [2])
  assert.deepEqual(oneProcess.sum([x]), [x])
  assert.deepEqual([oneProcess.total([1]), oneProcess.any(true), oneProcess.any(false)], [[1], true, false])
  x.dispose()
})

interface Group {
  readonly children: readonly ChildProcess[]
  readonly ended: Promise<readonly { readonly code: number | null; readonly out: string }[]>
}

/** `world` processes of ranks-process.ts, each with the same words. */
async function startGroup(world: number, ...words: readonly string[]): Promise<Group> {
  const program = new URL('ranks-process.ts', import.meta.url).pathname
  const begin = (rank: number, port: string) =>
    spawn(process.execPath, [program, String(rank), String(world), port, ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
  const first = begin(0, '0')
  const children = [first]
  const outputs = [collect(first)]
  const port = await new Promise<string>((resolve) =>
    first.stdout?.once('data', (text) => resolve(String(text).trim())),
  )
  for (let rank = 1; rank < world; rank++) {
    const child = begin(rank, port)
    children.push(child)
    outputs.push(collect(child))
  }
  return { children, ended: Promise.all(outputs) }
}

function collect(child: ChildProcess) {
  let out = ''
  child.stdout?.on('data', (text) => {
    out += String(text)
  })
  return new Promise<{ readonly code: number | null; readonly out: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, out })),
  )
}

const skip = groupBackends().includes('gloo') ? false : 'this build has no process groups (libgloo-dev)'

test('three processes sum, gather and agree; all hold the same bits', { skip }, async () => {
  const { ended } = await startGroup(3, 'sum')
  const results = await ended
  assert.deepEqual(
    results.map(({ code }) => code),
    [0, 0, 0],
  )
  const [line] = results[1].out.split('\n')
  assert.equal(line, '{"sums":[[6,12],[3],0],"total":[3,0.5],"any":[true,false],"broadcast":"from 0"}')
  for (const { out } of results) assert.ok(out.includes(line))
})

test('a synchronised batch norm of two parts is that of the whole batch, gradients included', {
  skip,
}, async () => {
  const { ended } = await startGroup(2, 'norm')
  for (const { code, out } of await ended) {
    const [, furthest] = /furthest (\S+)/.exec(out) ?? []
    assert.ok(code === 0 && Number(furthest) < 1e-12, out)
  }
})

test('a rank that has something else is named to all, one that ends says why', { skip }, async () => {
  const differing = await startGroup(3, 'differ')
  for (const { out } of await differing.ended)
    assert.match(out, /rank after step 7 rank 2 \(.+\) has other weights/)
  const failing = await startGroup(2, 'fail')
  const [first] = await failing.ended
  assert.match(first.out, /rank rank 1 \(.+\) of 2 ended: no space left/)
})

test('a rank that stops without a word counts as gone', { skip }, async () => {
  const { children, ended } = await startGroup(2, 'wait')
  children[1].stdout?.once('data', () => children[1].kill('SIGSTOP'))
  // were it not noticed, this would come first: much later than it takes, on a slow machine too
  let late = false
  const timer = setTimeout(() => {
    late = true
    children[1].kill('SIGKILL')
  }, 120_000)
  const first = await new Promise<string>((resolve) => {
    children[0].stdout?.on('data', (text) => String(text).includes('gone') && resolve(String(text)))
  })
  assert.match(first, /rank 1 \(.+\) is gone or does not answer/)
  assert.equal(late, false)
  clearTimeout(timer)
  children[1].kill('SIGKILL')
  await ended
})
