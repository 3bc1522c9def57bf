/** `ddsas plan`, and what `ddsas search` refuses to begin or to resume for want of memory. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { ddsas, program, refuse, set, start, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { metricsOf } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const limit = (size: string) => ['--set', `memory.limit=${size}`]

const planned = z.object({
  device: z.string(),
  besides: z.number(),
  measured: z.array(z.number()),
  lengths: z.array(
    z.object({ subspace: z.number(), memory: z.number(), tensors: z.number(), fits: z.literal(true) }),
  ),
})

type Planned = z.infer<typeof planned>

async function planOf(settings: readonly string[], lengths: string): Promise<Planned> {
  // a process of its own: what others left in it would count
  const { code, stdout } = await ddsas(['plan', 'cifar10', ...settings, '--lengths', lengths, '--json'])
  assert.equal(code, 0)
  return planned.parse(JSON.parse(stdout))
}

let small: Planned

before(async () => {
  writeImages(data, 4)
  small = await planOf(tiny, '15,28,98')
})
after(place.remove)

test('a table of L: progress line by line, memory, times, and what fits', async () => {
  const memory = small.lengths.map((row) => row.memory)
  const between = Math.round((memory[0] + memory[2]) / 2 ** 21)
  const text = await succeed(['plan', ...tiny, '--lengths', '15,98', ...limit(`${between} MiB`)])
  assert.match(text, /^measuring in subspaces of L = 15\nmeasuring in subspaces of L = /)
  assert.match(
    text,
    /\ncifar10: 3 cells of 4 channels, batches of 8\n50 epochs of 3125 steps, cpu with 1 thread\n/,
  )
  assert.match(text, new RegExp(`\nmeasured at L = 15, .*; ${between} MiB allowed by memory\\.limit\n`))
  assert.match(text, /\n +L +memory +s\/step +search\n/)
  assert.match(text, /\n +15 +\d+ MiB +\d\.\d{3} +[\d.]+ (s|min|h|d) {2}fits\n/)
  assert.match(text, /\n +98 +\d+ MiB +\d\.\d{3} +[\d.]+ (s|min|h|d) {2}does not fit\n/)
  assert.match(text, /\nthe process takes about \d+ MiB besides\n\nnetworks of 20 cells of 36 channels, /)
  assert.match(text, /\n {2}1\.37 M to 5\.144 M parameters\n {2}227\.3 M to 817\.8 M multiply-adds\n$/)
  assert.doesNotMatch(text, /\p{Cc}(?<!\n)/u)
  for (const line of text.split('\n')) assert.ok(line.length < 80, line)
})

test('--json prints one object and nothing else', () => {
  assert.deepEqual(small.measured, [15, 35, 98])
  assert.deepEqual(
    small.lengths.map(({ subspace }) => subspace),
    [15, 28, 98],
  )
})

test('what cannot be planned is refused in one line', async () => {
  await refuse(['plan', 'mnist'], 2, [/no preset 'mnist'; known are cifar10/])
  await refuse(['plan', '--lengths', '14'], 2, [/L = 14 does not fit this space: use 15 … 112/])
  await refuse(['plan', '--lengths', '15,'], 2, [/--lengths.*whole numbers with commas are wanted/])
  await refuse(['plan', ...limit('much')], 2, [/memory\.limit: write it in bytes, or with a unit/])
  await refuse(['plan', ...tiny, ...limit('1 MiB')], 2, [
    /L = 15 needs about \d+ MiB of memory for its tensors/,
  ])
})

test('Ctrl-C ends a plan with code 130', async () => {
  const running = start(['plan', 'demo', '--threads', '1'])
  await running.line(/^measuring/)
  running.child.kill('SIGINT')
  const { code, stderr } = await running.ended
  assert.deepEqual([code, stderr], [130, 'ddsas: stopped before all was measured\n'])
})

const search = ['search', 'cifar10', '--data', data, ...tiny, '--epochs', '1']

test('a new search that does not fit is refused before anything is written', async () => {
  const out = join(place.path, 'refused')
  const patterns = [
    /L = 28 needs about \d+(\.\d)? MiB of memory for its tensors, 2\.0 MiB are allowed by memory\.limit: /,
    /smaller ddsas\.subspace, data\.batch, network\.channels/,
  ]
  await refuse([...search, '--out', out, ...limit('2 MiB')], 2, patterns)
  assert.ok(!existsSync(out))
})

test('a resume may change the limit, or keeps it, and is held to it', async () => {
  const out = join(place.path, 'run')
  await succeed([...search, '--out', out, ...limit('1 GiB')])
  const config = readFileSync(join(out, 'config.json'), 'utf8')
  assert.match(config, /"limit": 1073741824/)
  const metrics = metricsOf(out)
  await refuse(['search', '--resume', out, ...limit('2 MiB')], 2, [/allowed by memory\.limit/])
  await succeed(['search', '--resume', out, ...limit('0')])
  writeFileSync(join(out, 'config.json'), config.replace('1073741824', '2097152'))
  await refuse([...search, '--resume', out], 2, [/2\.0 MiB are allowed by memory\.limit/])
  assert.deepEqual(metricsOf(out), metrics)
})

/** Ends a process with the most memory that was resident of it, as Linux counts, on standard error. */
const tellPeak = `data:text/javascript,${encodeURIComponent(`
  import { readFileSync } from 'node:fs'
  process.on('exit', () => console.error(/^VmHWM:.*$/m.exec(readFileSync('/proc/self/status', 'utf8'))[0]))
`)}`

const processes: readonly (readonly [name: string, subspace: number, settings: readonly string[]])[] = [
  ['three cells, all operations', 98, tiny],
  [
    'wide cells',
    28,
    set('network.channels=16', 'network.cells=3', 'data.batch=4', 'evaluation.batch=4', 'threads=1'),
  ],
]

for (const [name, subspace, settings] of processes) {
  const linux = process.platform === 'linux' ? false : 'the peak of a process is read as Linux shows it'
  test(`tensors and what the process takes besides are at least what it takes: ${name}`, {
    skip: linux,
  }, async () => {
    const images = join(place.path, 'images')
    writeImages(images, 8)
    const { besides, lengths } = settings === tiny ? small : await planOf(settings, String(subspace))
    const memory = lengths.find((row) => row.subspace === subspace)?.memory ?? Number.NaN
    // a plan is for all of CIFAR: as tensors, and as they were read
    const foretold = (memory + besides - 2 * 49_960 * 3080) / 2 ** 20
    const args = [
      'cifar10',
      '--data',
      images,
      '--epochs',
      '1',
      ...settings,
      ...set(`ddsas.subspace=${subspace}`),
    ]
    const run = spawnSync(
      process.execPath,
      ['--import', tellPeak, program, 'search', ...args, '--out', join(place.path, name)],
      { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } },
    )
    assert.equal(run.status, 0, run.stderr)
    const peak = Number(/^VmHWM:\s*(\d+) kB$/m.exec(run.stderr)?.[1]) / 1024
    assert.ok(foretold >= peak, `${foretold} MiB foretold, ${peak} MiB taken`)
    assert.ok(foretold <= 1.4 * peak, `${foretold} MiB foretold, no more than ${peak} MiB taken`)
  })
}

test('a batch larger than the data set is named, not counted as memory', async () => {
  const out = join(place.path, 'batch')
  const args = ['search', 'cifar10', '--data', data, '--out', out, ...set('data.batch=30000')]
  await refuse(args, 2, [/^ddsas: data\.batch = 30000, there are 20 images; ask for at most that$/m])
  assert.ok(!existsSync(out))
})
