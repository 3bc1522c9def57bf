/** A search that comes to its memory limit: one line, exit code 1, a checkpoint that a larger limit goes on from. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { RunFolder } from '../../src/runs/folder.ts'
import { messageOf, program, set, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun, metricsOf } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const reference = join(place.path, 'reference')

/** 8 steps an epoch, saved after every second one; a measurement of accuracy takes more than a step. */
const settings = [
  ...tiny,
  ...set('data.batch=4', 'evaluation.batch=32', 'checkpoint.steps=2', 'memory.limit=2 GiB'),
  '--epochs',
  '2',
  '--json',
]

const begin = (path: string) => ['search', 'cifar10', '--data', data, '--out', path, ...settings]

before(async () => {
  writeImages(data, 13)
  await succeed(begin(reference))
})
after(place.remove)

for (const [what, room, steps, saved] of [
  ['a step', 0.5, 3, 2],
  ['a measurement of accuracy', 1, 8, 8],
] as const)
  test(`the limit comes in the middle of ${what}: one line, exit code 1, and the run can go on with a larger one`, async () => {
    const out = join(place.path, String(steps))
    const preload = pathToFileURL(join(import.meta.dirname, 'lower-limit.mjs'))
    preload.search = `?room=${room}&steps=${steps}`
    const args = begin(out)
    const run = spawnSync(process.execPath, ['--import', preload.href, program, ...args], {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '', DDSAS_DEBUG: '' },
    })
    const ended = { code: run.status, stdout: run.stdout, stderr: run.stderr }
    assert.equal(ended.code, 1, ended.stderr)
    const message = messageOf(ended, args)
    assert.match(ended.stderr, /"kind":"memory"/)
    assert.match(message, /^(grad|(aten|ddsas)::\w+(\.\w+)?\(.*\)): tensors hold /)
    assert.match(message, /: tensors hold \d+\.\d MiB, .* more would go beyond the limit of \d+\.\d MiB; /)
    assert.match(message, new RegExp(`the checkpoint after step ${saved} is kept; go on with `))
    assert.match(
      message,
      new RegExp(`a larger memory\\.limit: npx ddsas search --resume ${out} --set memory\\.limit=`),
    )
    assert.match(
      message,
      /a smaller data\.batch, network\.channels or evaluation\.batch, or fewer sampled candidates$/,
    )
    assert.equal(metricsOf(out).length, steps)
    assert.deepEqual(RunFolder.open(out).checkpointSteps().at(-1), saved)
    await succeed(['search', '--resume', out, ...set('memory.limit=2 GiB'), '--json'])
    assertSameRun(out, reference)
  })
