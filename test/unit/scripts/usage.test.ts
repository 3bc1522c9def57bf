/** Help, examples, usage errors and errors as JSON, in this process; `cli.test.ts` runs the command as users do. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Command } from 'commander'
import { z } from 'zod'
import { exampleWords } from '../../../src/cli/examples.ts'
import { createProgram, run } from '../../../src/cli/main.ts'
import { exitCodes } from '../../../src/errors.ts'

/** Runs a command line; what it prints is caught. */
async function ran(
  t: TestContext,
  ...words: readonly string[]
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const printed = { out: '', err: '' }
  const keep = (name: 'out' | 'err') => (text: unknown) => {
    printed[name] += text
    return true
  }
  const writes = [
    t.mock.method(process.stdout, 'write', keep('out')),
    t.mock.method(process.stderr, 'write', keep('err')),
    t.mock.method(console, 'error', (line: string) => keep('err')(`${line}\n`)),
  ]
  const code = await run(['node', 'ddsas', ...words])
  for (const write of writes) write.mock.restore()
  return { code, ...printed }
}

function allBelow(command: Command): Command[] {
  return command.commands.flatMap((sub) => [sub, ...allBelow(sub)])
}

test('every help ends with an example, and says of --json what becomes of errors', () => {
  const program = createProgram()
  for (const command of [
    program,
    ...allBelow(program).filter((sub) => sub.name() !== 'help' || sub.parent === program),
  ]) {
    let text = ''
    command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp()
    assert.match(text, /\nExamples?:\n {2}npx ddsas [^\n]+\n/, command.name())
    if (command.options.some(({ long }) => long === '--json'))
      assert.match(text, /With --json an error is one JSON object on standard error: kind, message, exitCode/)
  }
})

test('every example is understood', async () => {
  for (const words of exampleWords) {
    const program = createProgram()
    let called = 0
    for (const command of allBelow(program)) command.action(() => void called++)
    await program.parseAsync(['node', 'ddsas', ...words])
    assert.equal(called, 1, words.join(' '))
  }
})

test('help by a word, also of a command below another', async (t) => {
  const search = await ran(t, 'help', 'search')
  assert.deepEqual([search.code, search.err], [0, ''])
  assert.match(search.out, /^Usage: npx ddsas search /)
  assert.equal(search.out, (await ran(t, 'search', '--help')).out)
  assert.match((await ran(t, 'help', 'data', 'fetch')).out, /^Usage: npx ddsas data fetch /)
  assert.match((await ran(t, 'help')).out, /^Usage: npx ddsas \[options\]/)
  const unknown = await ran(t, 'help', 'data', 'fly')
  assert.deepEqual([unknown.code, unknown.out], [2, ''])
  assert.match(unknown.err, /^ddsas: there is no command 'data fly'; known are fetch, info, check, stats/)
})

test('the version by -v', async (t) => {
  const short = await ran(t, '-v')
  assert.deepEqual([short.code, short.err], [0, ''])
  assert.match(short.out, /^\d+\.\d+\.\d+\n$/)
  assert.equal(short.out, (await ran(t, '--version')).out)
})

test('options say what they take, and are refused in their own words', async (t) => {
  for (const kind of ['search', 'train']) {
    const help = (await ran(t, kind, '--help')).out.replaceAll(/\s+/g, ' ')
    assert.match(
      help,
      /--device <name> where to compute: auto, cpu, cuda, or cuda:N for GPU number N \(default: auto, /,
    )
    assert.match(help, /--threads <n> threads for one operator, 1 to 512 \(default: one for each core\)/)
    assert.match(help, /--config <file> JSON file of settings, /)
    const out = kind === 'search' ? 'runs/<preset>' : 'runs/train-<preset>'
    assert.ok(help.includes(`(default: ${out}; where that exists ${out}-2, -3, …)`), help)
    assert.match(help, /--json .*epochs count from 0 there/)
    const refused: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ['--epochs', '0'],
        /^ddsas: option '--epochs <n>' argument '0' is invalid\. a whole number from 1 on is wanted\n$/,
      ],
      [['--epochs', '1.5'], /'--epochs <n>' argument '1\.5' is invalid\. a whole number from 1 on/],
      [['--threads', '0'], /'--threads <n>' argument '0' is invalid\. 1 to 512 is wanted/],
      [
        ['--device', 'tpu'],
        /'--device <name>' argument 'tpu' is invalid\. auto, cpu, cuda or cuda:N is wanted/,
      ],
    ]
    for (const [words, pattern] of refused) {
      const { code, err } = await ran(t, kind, ...words)
      assert.equal(code, 2)
      assert.match(err, pattern)
    }
  }
  for (const kind of ['evaluate', 'plan'])
    assert.match((await ran(t, kind, '--help')).out, /auto, cpu, cuda, or cuda:N[\s\S]*1 to 512/)
})

const errorObject = z.strictObject({ kind: z.string(), message: z.string(), exitCode: z.number() })

test('with --json an error is one JSON object on standard error', async (t) => {
  const cases: readonly (readonly [readonly string[], keyof typeof exitCodes, RegExp])[] = [
    [['show', 'DDSAS_cifar11', '--json'], 'input', /^'DDSAS_cifar11' is no genotype/],
    [['search', '--json', '--epochs', '0'], 'input', /'--epochs <n>' argument '0'/],
    [['search', 'mnist', '--json'], 'input', /no preset 'mnist'/],
    [['train', 'DARTS_V2', '--json', '--data', '/nowhere/data', '--out', '/nowhere/run'], 'data', /data/],
    [['describe', '--json'], 'input', /missing required argument 'genotype'/],
    [['doctor', '--json', '--jsno'], 'input', /unknown option '--jsno' \(Did you mean --json\?\)/],
  ]
  for (const [words, kind, message] of cases) {
    const { code, out, err } = await ran(t, ...words)
    const error = errorObject.parse(JSON.parse(err))
    assert.deepEqual([out, error.kind, error.exitCode, code], ['', kind, exitCodes[kind], exitCodes[kind]])
    assert.match(error.message, message)
  }
})
