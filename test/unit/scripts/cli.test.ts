/** Tests of the command line's frame: exit codes, one line an error, `ddsas doctor` with and without an addon. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { repository, tree } from './support.ts'

const report = z.object({
  ready: z.boolean(),
  findings: z.array(
    z.object({
      name: z.string(),
      ok: z.boolean(),
      needed: z.boolean(),
      found: z.string(),
      remedy: z.string().optional(),
    }),
  ),
})

interface Options {
  readonly root?: string
  readonly env?: NodeJS.ProcessEnv
}

/** Runs `ddsas`: compiled, or from the sources of a copy in which nothing is. */
function ddsas(args: readonly string[], { root, env = {} }: Options = {}) {
  const program = root ? ['--import', 'tsx', 'src/cli/main.ts'] : ['bin/ddsas.mjs']
  return spawnSync(process.execPath, [...program, ...args], {
    cwd: root ?? repository,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    encoding: 'utf8',
  })
}

/** A copy of what the command line is made of, in which nothing has been built. */
function unbuilt(t: TestContext): string {
  const root = tree(t, {})
  for (const name of ['src', 'bin', 'scripts', 'package.json']) {
    cpSync(join(repository, name), join(root, name), { recursive: true })
  }
  symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'))
  return root
}

test('version and help are printed with exit code 0', () => {
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')))
  const asked = ddsas(['--version'])
  assert.deepEqual([asked.status, asked.stdout], [0, `${version}\n`])
  const help = ddsas(['--help'])
  assert.equal(help.status, 0)
  for (const command of ['search', 'show', 'data', 'doctor'])
    assert.match(help.stdout, new RegExp(`^  ${command}\\b`, 'm'))
})

test('wrong usage is one line with exit code 2', () => {
  for (const args of [['serach'], ['doctor', '--jsno'], ['data', 'fetch'], ['data', 'fetch', 'mnist']]) {
    const { status, stderr, stdout } = ddsas(args)
    assert.deepEqual([status, stdout], [2, ''], args.join(' '))
    assert.match(stderr, /^ddsas: [^\n]+\n(\(Did you mean [^\n]+\)\n)?$/)
  }
  assert.equal(ddsas([]).status, 2)
})

test('DDSAS_DEBUG=1 prints the stack of an error', () => {
  const { status, stderr } = ddsas(['data', 'fetch', 'mnist'], { env: { DDSAS_DEBUG: '1' } })
  assert.equal(status, 2)
  assert.match(stderr, /DdsasError: [\s\S]*\n {4}at /)
})

test('doctor reports every finding, and its exit code tells whether a search can run', () => {
  const { status, stdout } = ddsas(['doctor', '--json'])
  const { ready, findings } = report.parse(JSON.parse(stdout))
  assert.equal(status, ready ? 0 : 2)
  const names = findings.map(({ name }) => name)
  for (const name of [
    'node',
    'compiler',
    'cmake',
    'libtorch',
    'addon',
    'cpu',
    'memory',
    'disk',
    'fonts',
    'cifar10',
  ]) {
    assert.ok(names.includes(name), name)
  }
  for (const { name, ok, remedy } of findings) assert.equal(remedy !== undefined, !ok, name)
})

test('without an addon, doctor and data work, doctor ends with 2 and says what to run', (t) => {
  const root = unbuilt(t)
  const { status, stdout } = ddsas(['doctor', '--json'], { root })
  const { ready, findings } = report.parse(JSON.parse(stdout))
  assert.deepEqual([status, ready], [2, false])
  assert.equal(findings.find(({ name }) => name === 'addon')?.remedy, 'npx ddsas setup')
  assert.match(ddsas(['doctor'], { root }).stdout, /^missing +addon .*\n +-> npx ddsas setup$/m)
  assert.equal(ddsas(['data', '--help'], { root }).status, 0)
})

test('a LIBTORCH without a libtorch is named by doctor', (t) => {
  const root = unbuilt(t)
  const { stdout } = ddsas(['doctor', '--json'], { root, env: { LIBTORCH: '/nonexistent' } })
  const libtorch = report.parse(JSON.parse(stdout)).findings.find(({ name }) => name === 'libtorch')
  assert.equal(libtorch?.ok, false)
  assert.match(libtorch?.found ?? '', /LIBTORCH=\/nonexistent holds no libtorch/)
})

test('the installed command without dist says what to run', (t) => {
  const root = unbuilt(t)
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'bin/ddsas.mjs')], { encoding: 'utf8' })
  assert.deepEqual([status, stderr], [2, 'ddsas: not set up yet; run: npx ddsas setup\n'])
})
