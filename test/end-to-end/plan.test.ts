/** `ddsas plan`, and what `ddsas search` refuses to begin or to resume for want of memory. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { refuse, start, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { metricsOf } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const limit = (size: string) => ['--set', `memory.limit=${size}`]

before(() => {
  writeImages(data, 4)
})
after(place.remove)

test('a table of L: progress line by line, memory, times, and what fits', async () => {
  const text = await succeed(['plan', 'cifar10', ...tiny, '--lengths', '15,98', ...limit('170 MiB')])
  assert.match(text, /^measuring in subspaces of L = 15\nmeasuring in subspaces of L = /)
  assert.match(
    text,
    /\ncifar10: 3 cells of 4 channels, batches of 8\n50 epochs of 3125 steps, cpu with 1 thread\n/,
  )
  assert.match(text, /\nmeasured at L = 15, .*; 170 MiB allowed by memory\.limit\n/)
  assert.match(text, /\n +L +peak +needed +s\/step +search\n/)
  assert.match(text, /\n +15 +\d+ MiB +\d+ MiB +\d\.\d{3} +[\d.]+ (s|min|h|d) {2}fits\n/)
  assert.match(text, /\n +98 +\d+ MiB +\d+ MiB +\d\.\d{3} +[\d.]+ (s|min|h|d) {2}does not fit\n/)
  assert.doesNotMatch(text, /\p{Cc}(?<!\n)/u)
  for (const line of text.split('\n')) assert.ok(line.length < 80, line)
})

test('--json prints one object and nothing else', async () => {
  const text = await succeed(['plan', ...tiny, '--lengths', '28', '--json'])
  const schema = z.object({
    device: z.string(),
    measured: z.array(z.number()),
    lengths: z.tuple([
      z.object({ subspace: z.literal(28), peak: z.number(), needed: z.number(), fits: z.literal(true) }),
    ]),
  })
  assert.deepEqual(schema.parse(JSON.parse(text)).measured, [15, 35, 70])
})

test('what cannot be planned is refused in one line', async () => {
  await refuse(['plan', 'mnist'], 2, [/no preset 'mnist'; known are cifar10/])
  await refuse(['plan', '--lengths', '14'], 2, [/L = 14 does not fit this space: use 15 … 112/])
  await refuse(['plan', '--lengths', '15,'], 2, [/--lengths.*whole numbers with commas are wanted/])
  await refuse(['plan', ...limit('much')], 2, [/memory\.limit: write it in bytes, or with a unit/])
  await refuse(['plan', ...tiny, ...limit('1 MiB')], 2, [/L = 15 needs about \d+ MiB of memory/])
})

test('Ctrl-C ends a plan with code 130', async () => {
  const running = start(['plan', 'cifar10', '--threads', '1'])
  await running.line(/^measuring/)
  running.child.kill('SIGINT')
  const { code, stderr } = await running.ended
  assert.deepEqual([code, stderr], [130, 'ddsas: stopped before all was measured\n'])
})

const search = ['search', 'cifar10', '--data', data, ...tiny, '--epochs', '1']

test('a new search that does not fit is refused before anything is written', async () => {
  const out = join(place.path, 'refused')
  const patterns = [
    /L = 28 needs about \d+ MiB of memory, 2\.0 MiB are allowed by memory\.limit: /,
    /smaller ddsas\.subspace, data\.batch, network\.channels/,
  ]
  await refuse([...search, '--out', out, ...limit('2 MiB')], 2, patterns)
  assert.ok(!existsSync(out))
})

test('a resume may change the limit and is held to it; a run of before has none', async () => {
  const out = join(place.path, 'run')
  await succeed([...search, '--out', out, ...limit('1 GiB')])
  const config = readFileSync(join(out, 'config.json'), 'utf8')
  assert.match(config, /"limit": 1073741824/)
  const metrics = metricsOf(out)
  await refuse(['search', '--resume', out, ...limit('2 MiB')], 2, [/allowed by memory\.limit/])
  await succeed(['search', '--resume', out, ...limit('0')])
  writeFileSync(join(out, 'config.json'), config.replace(/"memory": \{[^}]*\},\s*/, ''))
  await succeed(['search', '--resume', out])
  assert.deepEqual(metricsOf(out), metrics)
})

test('a resume with the preset named keeps the limit of the run', async () => {
  const out = join(place.path, 'limited')
  await succeed([...search, '--out', out, ...limit('1 GiB')])
  const path = join(out, 'config.json')
  writeFileSync(path, readFileSync(path, 'utf8').replace('1073741824', '2097152'))
  await refuse([...search, '--resume', out], 2, [/2\.0 MiB are allowed by memory\.limit/])
})
