/** The package as others get it: packed, installed in a folder with a space in its name, set up, used. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { set, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { filesBelow } from './runs.ts'

const repository = join(import.meta.dirname, '../..')
const place = workplace()
const app = join(place.path, 'an app')
const installed = join(app, 'node_modules/ddsas')
const tools = join(place.path, 'tools')
const asked = join(place.path, 'cmake.txt')

/** The tools below come first, and nothing names another build of the addon than that of the package. */
const { DDSAS_ADDON: addon = join(repository, 'build/Release/ddsas.node'), ...others } = process.env
const env = { ...others, NODE_OPTIONS: '', PATH: [tools, process.env.PATH].join(delimiter) }

/** Compiling takes minutes and is tested by whoever runs these tests: here cmake notes what is asked, and copies that addon. */
const cmake = `#!/bin/sh
case "$1" in
  --build) mkdir -p "$2/Release" && cp '${addon}' "$2/Release/ddsas.node" ;;
  -* ) echo 'cmake version 3.25.1' ;;
  *) printf '%s\\n' "$@" >'${asked}' ;;
esac
`

const lockSchema = z.looseObject({
  packages: z.record(z.string(), z.looseObject({ dev: z.boolean().optional() })),
})

/** The versions of this repository's lock file: npm then installs from its cache, without asking a registry. */
function lockFile(tarball: string): object {
  const { packages } = lockSchema.parse(
    JSON.parse(readFileSync(join(repository, 'package-lock.json'), 'utf8')),
  )
  const { '': own, ...needed } = packages
  const { version, dependencies, engines, bin } = own
  const entries = {
    '': { dependencies: { ddsas: `file:${tarball}` } },
    'node_modules/ddsas': { version, resolved: `file:${tarball}`, dependencies, engines, bin },
    ...Object.fromEntries(Object.entries(needed).filter(([, { dev }]) => !dev)),
  }
  return { name: 'app', lockfileVersion: 3, requires: true, packages: entries }
}

/** npm by itself: what a script of npm set, such as `npm test`, would change what it does. */
function npm(args: readonly string[], cwd: string): string {
  const plain = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name))
  return execFileSync('npm', args, {
    cwd,
    encoding: 'utf8',
    env: { ...Object.fromEntries(plain), NODE_OPTIONS: '' },
  })
}

before(() => {
  for (const folder of [app, tools]) mkdirSync(folder)
  npm(['pack', '--silent', '--pack-destination', app], repository)
  const tarball = readdirSync(app).find((name) => name.endsWith('.tgz')) ?? assert.fail('nothing was packed')
  const program = { private: true, type: 'module', dependencies: { ddsas: `file:${tarball}` } }
  writeFileSync(join(app, 'package.json'), JSON.stringify(program))
  writeFileSync(join(app, 'package-lock.json'), JSON.stringify(lockFile(tarball)))
  npm(['ci', '--prefer-offline', '--no-audit', '--no-fund'], app)
  writeFileSync(join(tools, 'cmake'), cmake, { mode: 0o755 })
  writeImages(join(app, 'data'), 16)
})
after(place.remove)

/** Runs a program where the package is installed. */
function run(program: string, args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: app, env, encoding: 'utf8' })
  return { status, stdout, stderr }
}

/** What npx calls. */
const ddsas = (...args: string[]) => run(join(app, 'node_modules/.bin/ddsas'), args)

test('the package holds what its texts link, and nothing that needs what is not in it', () => {
  const files = filesBelow(installed)
  for (const name of files.filter((file) => file.endsWith('.md'))) {
    const links = readFileSync(join(installed, name), 'utf8').matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)
    for (const [, link = ''] of links)
      assert.ok(existsSync(join(installed, dirname(name), link)), `${name} links ${link}`)
  }
  for (const name of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'bench/README.md', 'LICENSE'])
    assert.ok(files.includes(name), name)
  for (const name of files) {
    assert.match(name, /^(bin|dist|examples|native|bench|scripts\/(setup|libtorch))|^\w+(\.md|\.json)?$/)
    assert.doesNotMatch(name, /\.map$|\.test\.|(^|\/)\./)
    if (name.endsWith('.js'))
      assert.doesNotMatch(readFileSync(join(installed, name), 'utf8'), /sourceMappingURL/)
  }
})

test('before the set-up every message names the command that sets up', () => {
  const { status, stdout } = run('npx', ['ddsas', 'doctor'])
  assert.equal(status, 2)
  assert.match(stdout, /^missing +addon .*; build it with: npx ddsas setup\n +-> npx ddsas setup$/m)
  const search = ddsas('search', 'demo', '--data', 'data')
  assert.equal(search.status, 2)
  assert.match(
    search.stderr,
    /^ddsas: the native addon cannot be loaded .*; build it with: npx ddsas setup\n$/,
  )
})

test('the set-up builds the addon in the package, once', () => {
  const first = run('npx', ['ddsas', 'setup'])
  assert.deepEqual([first.status, first.stderr], [0, ''])
  assert.match(first.stdout, /^setup: building the addon on libtorch .*\nsetup: built the addon in \d+ s\n$/)
  const [source, ...options] = readFileSync(asked, 'utf8').trimEnd().split('\n')
  assert.equal(source, join(installed, 'native'))
  const headers = options.map((option) => /^-DCMAKE_JS_INC=(.*)$/.exec(option)?.[1]).find((found) => found)
  const packages = headers?.split(';').map((folder) => folder.slice(join(app, 'node_modules/').length))
  assert.deepEqual(packages?.filter(Boolean).sort(), ['node-addon-api', 'node-api-headers/include'])
  const second = ddsas('setup')
  assert.deepEqual([second.status, second.stdout], [0, 'setup: everything is ready\n'])
  assert.equal(ddsas('setup', '--quiet').stdout, '')
})

test('a search of one epoch', () => {
  const out = join(app, 'runs/first')
  const small = [...tiny, ...set('data.images=80'), '--epochs', '1', '--out', out]
  const { status, stderr } = ddsas('search', 'demo', '--data', 'data', ...small)
  assert.deepEqual([status, stderr], [0, ''])
  for (const name of ['genotype.json', 'cells/normal.png']) assert.ok(existsSync(join(out, name)), name)
})

/** Packages of which a program loads modules. */
function packagesOf(program: string): Set<string> {
  const coverage = join(place.path, `coverage ${program.length}`)
  execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: app,
    env: { ...env, NODE_V8_COVERAGE: coverage },
  })
  const loaded = z.object({ result: z.array(z.object({ url: z.string() })) })
  const urls = readdirSync(coverage).flatMap((name) =>
    loaded.parse(JSON.parse(readFileSync(join(coverage, name), 'utf8'))).result.map(({ url }) => url),
  )
  return new Set(urls.flatMap((url) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []))
}

test('the error alone loads nothing else, and the library nothing that draws before it draws', () => {
  const use = (from: string) => `import { DdsasError } from '${from}'\nnew DdsasError('input', 'x')`
  assert.deepEqual([...packagesOf(use('ddsas/errors'))], ['ddsas'])
  const loaded = packagesOf(use('ddsas'))
  assert.ok(loaded.has('ddsas') && loaded.has('zod'))
  for (const name of ['sharp', '@viz-js/viz', 'vega', 'vega-lite', 'commander', 'cli-progress'])
    assert.ok(!loaded.has(name), name)
  const drawn = packagesOf(
    `import { drawCell, publishedGenotype } from 'ddsas'\nawait drawCell(publishedGenotype('DARTS_V2'), 'normal')`,
  )
  for (const name of ['sharp', '@viz-js/viz']) assert.ok(drawn.has(name), name)
})
