/** The examples of `src/index.ts`: each compiles as a program that has ddsas installed, and runs. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { workplace } from './command.ts'
import { writeImages } from './images.ts'

const repository = join(import.meta.dirname, '../..')
const place = workplace()

const text = readFileSync(join(repository, 'src/index.ts'), 'utf8')
const examples = [...text.matchAll(/@example\n \* ```ts\n([\s\S]*?)\n \* ```/g)].map(([, code = '']) =>
  code.replaceAll(/^ \* ?/gm, ''),
)
const files = examples.map((_, index) => join(place.path, `example-${index}.ts`))

before(() => {
  writeFileSync(join(place.path, 'package.json'), '{"type":"module"}')
  mkdirSync(join(place.path, 'node_modules/@types'), { recursive: true })
  symlinkSync(repository, join(place.path, 'node_modules/ddsas'))
  symlinkSync(join(repository, 'node_modules/@types/node'), join(place.path, 'node_modules/@types/node'))
  writeImages(join(place.path, 'data'), 16)
  examples.forEach((code, index) => {
    writeFileSync(files[index] ?? '', code)
  })
})
after(place.remove)

test('every part of the public API has an example, and all compile under the strictest rules', () => {
  assert.equal(examples.length, 17)
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2023',
    lib: ['es2023'],
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
  }
  writeFileSync(join(place.path, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  const { stdout, status } = spawnSync(process.execPath, [tsc], { cwd: place.path, encoding: 'utf8' })
  assert.deepEqual([status, stdout], [0, ''])
})

/** Runs programs one after the other in one process, and prints what each prints as one array. */
const runner = `
const write = process.stdout.write.bind(process.stdout)
const printed = []
process.stdout.write = (text) => printed.push(printed.pop() + text) > 0
for (const program of process.argv.slice(1)) {
  printed.push('')
  await import(program)
}
write(JSON.stringify(printed))
`

test('every example runs', () => {
  const env = { ...process.env, NODE_OPTIONS: '' }
  const programs = files.map((file) => file.replace(/ts$/, 'js'))
  const args = ['--input-type=module', '-e', runner, ...programs]
  const printed = execFileSync(process.execPath, args, { cwd: place.path, env, encoding: 'utf8' })
  const output = z.array(z.string()).parse(JSON.parse(printed))
  const wanted = [
    /^step 1: loss \d\.\d{3}\nstep 2: [\s\S]*\nGenotype\(normal=.* in .*runs\/first\n$/,
    /^L = 35 in 8 cells\n$/,
    /^L = 20: \d+ MiB, fits\nL = 40: \d+ MiB, fits\n$/,
    /^98 operations left\n$/,
    /^4 steps, checkpoints after 2 and 4\nsteps 0 to 2: \d+ operations sampled\nsteps 2 to 4: \d+ .*\n$/,
    /^(scores \d\S*: \d+ parameters\n){3}$/,
    /^80 images, 3072 bytes each; the first: \w+\n$/,
    /^logits \[2,10\] of 2 groups of decisions\n$/,
    /^distance 0\n$/,
    /^3600334 parameters, \d+ multiply-adds, \d+ layers deep\n$/,
    /^epoch 1: loss \d\.\d{3}\n\d+\.\d % of 16 wrong, in .*runs\/trained\n$/,
    /^\d+ of 16 right: airplane \d+, .*, truck \d+\n$/,
    /^90\.5 %, rank 1\n$/,
    /^some ms, by 2 networks off by so much\n$/,
    /^a network of 10 classes in four files\n$/,
    /^x² sums to 14, its gradient is 2,4,6\n$/,
    /^input: there is no preset 'mnist'; known are cifar10, cifar100, .*demo\n$/,
  ]
  wanted.forEach((pattern, index) => {
    assert.match(output[index] ?? '', pattern)
  })
  assert.ok(existsSync(join(place.path, 'normal.svg')))
  const exported = ['network.onnx', 'network.safetensors', 'network.py', 'network.pt']
  for (const name of exported) assert.ok(statSync(join(place.path, name)).size > 1000, name)
})
