/** Commands beside search and train: readers that leave, where files go, corrupt checkpoints, what exports say. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { appendFileSync, cpSync, existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { RunFolder } from '../../src/runs/folder.ts'
import { ddsas, refuse, set, succeed, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { filesBelow } from './runs.ts'

const place = workplace()
const at = (...parts: readonly string[]) => join(place.path, ...parts)
const program = join(import.meta.dirname, '../../bin/ddsas.mjs')
const tiny = [
  ...set('network.channels=4', 'network.cells=3', 'data.batch=16', 'threads=1', 'checkpoint.steps=3'),
]

before(async () => {
  writeImages(at('data'), 16)
  await succeed(['train', 'DDSAS_cifar10', '--epochs', '1', '--out', 'run', ...tiny], place.path)
})
after(place.remove)

/** Runs a command whose standard output nobody reads, closed before anything is written. */
async function unread(
  ...words: readonly string[]
): Promise<{ readonly code: unknown; readonly stderr: string }> {
  const child = spawn(process.execPath, [program, ...words], {
    cwd: place.path,
    env: { ...process.env, NODE_OPTIONS: '', DDSAS_DEBUG: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdout.destroy()
  const code = await new Promise((resolve) => child.once('close', resolve))
  return { code, stderr }
}

const drawings = ['normal.png', 'normal.svg', 'reduce.png', 'reduce.svg']
const tables = [
  'confusion.csv',
  'confusion.png',
  'confusion.svg',
  'per-class.csv',
  'per-class.png',
  'per-class.svg',
]

test('a reader that has left takes no file away, and is no failure', async () => {
  const whole = { code: 0, stderr: '' }
  assert.deepEqual(await unread('show', 'run', '--out', 'drawn unread'), whole)
  assert.deepEqual(readdirSync(at('drawn unread')).sort(), drawings)
  assert.deepEqual(await unread('evaluate', 'run', '--out', 'tables unread'), whole)
  assert.deepEqual(readdirSync(at('tables unread')).sort(), tables)
  assert.deepEqual(await unread('export', 'run', '--to', 'pytorch', '--out', 'unread.py'), whole)
  assert.ok(existsSync(at('unread.py')) && existsSync(at('unread.pt')))
  assert.deepEqual(await unread('describe', 'DARTS_V2'), whole)
})

test('show writes files only where --out says', async () => {
  const found = filesBelow(place.path)
  const text = await succeed(['show', 'run'], place.path)
  assert.equal(text, await succeed(['show', 'DDSAS_cifar10'], place.path))
  assert.deepEqual(filesBelow(place.path), found)
})

test('the evaluations of two files of one name stand beside them, apart', async () => {
  const [step] = RunFolder.open(at('run')).checkpointSteps().slice(-1)
  const weights = at('run/checkpoints', String(step).padStart(8, '0'), 'weights.safetensors')
  await succeed(['export', 'run', '--to', 'pytorch', '--out', 'w/x.py'], place.path)
  cpSync(weights, at('w/x.safetensors'))
  const how = ['--genotype', 'run', '--json']
  for (const name of ['x.pt', 'x.safetensors']) {
    const { files } = z
      .looseObject({ files: z.array(z.string()) })
      .parse(JSON.parse(await succeed(['evaluate', `w/${name}`, ...how], place.path)))
    assert.deepEqual(files.map((file) => file.replace(at('w', `${name}-evaluation/`), '')).sort(), tables)
  }
  await refuse(
    ['evaluate', 'w/x.pt', '--genotype', 'run', '--checkpoint', '3'],
    2,
    [/--checkpoint 3 is of a run/],
    place.path,
  )
})

test('exports say whether the auxiliary head is in them', async () => {
  const exported = async (to: string, ...more: readonly string[]) =>
    (await succeed(['export', 'run', '--to', to, ...more], place.path)).split('\n').at(-2)
  for (const to of ['onnx', 'pytorch'])
    assert.equal(await exported(to), 'without the auxiliary head, which only training uses')
  assert.equal(await exported('safetensors'), 'with the auxiliary head')
  const json = z.object({ files: z.array(z.string()), auxiliary: z.boolean() })
  for (const [to, auxiliary] of [
    ['safetensors', true],
    ['onnx', false],
  ] as const)
    assert.equal(json.parse(JSON.parse((await exported(to, '--json')) ?? '')).auxiliary, auxiliary)
})

test('a corrupt checkpoint: what is advised under evaluate and export works there', async () => {
  cpSync(at('run'), at('corrupt'), { recursive: true })
  const [earlier, last] = RunFolder.open(at('corrupt')).checkpointSteps()
  appendFileSync(at('corrupt/checkpoints', String(last).padStart(8, '0'), 'weights.safetensors'), 'x')
  for (const [command, ...options] of [['evaluate'], ['export', '--to', 'onnx']]) {
    const words = [command ?? '', 'corrupt', ...options]
    const { code, stderr } = await ddsas(words, place.path)
    const [, advice = ''] =
      /is corrupt: .*; take the previous one with (--checkpoint \d+)\n$/.exec(stderr) ?? []
    assert.deepEqual([code, advice], [2, `--checkpoint ${earlier}`], stderr)
    await succeed([...words, ...advice.split(' ')], place.path)
  }
  const written = filesBelow(at('corrupt')).filter((name) => /-\d+[/.]/.test(name))
  assert.deepEqual(written, [
    ...tables.map((name) => `evaluation/last-${earlier}/${name}`),
    `export/network-${earlier}.onnx`,
  ])
})

test('an empty genotype is said to be that, in a file and in a run', async () => {
  cpSync(at('run'), at('emptied'), { recursive: true })
  for (const path of ['emptied/genotype.json', 'empty.json']) writeFileSync(at(path), '')
  await refuse(
    ['show', 'empty.json'],
    2,
    [/empty\.json: the file is empty; name a file with JSON or/],
    place.path,
  )
  await refuse(
    ['describe', 'emptied'],
    2,
    [/emptied\/genotype\.json is empty; restore it or name another/],
    place.path,
  )
})
