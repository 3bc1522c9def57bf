/** Completion: what bash offers at every place of the program, and that all three scripts are whole. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { bashScript, fishScript, zshScript } from '../../../src/cli/completion-scripts.ts'
import { allCommands, completionsOf } from '../../../src/cli/completions.ts'
import { createProgram } from '../../../src/cli/main.ts'
import { trainPresets } from '../../../src/retrain/presets.ts'
import { searchPresets } from '../../../src/search/presets.ts'
import { publishedGenotypes } from '../../../src/spaces/darts/published-genotypes.ts'
import { temporaryFolder } from '../runs/temporary.ts'

const program = completionsOf(createProgram())

/** Words after `ddsas`, the last one under the cursor, each followed by what bash offers there. */
function offered(t: TestContext, lines: readonly (readonly string[])[]): string[][] {
  const calls = lines.map((words) => {
    const line = ['ddsas', ...words].map((word) => `'${word}'`).join(' ')
    return `COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _ddsas; echo "\${COMPREPLY[*]}"`
  })
  const file = join(temporaryFolder(t), 'completion.bash')
  writeFileSync(file, `set -eu\n${bashScript(program)}\n${calls.join('\n')}\n`)
  const { status, stdout, stderr } = spawnSync('bash', [file], { encoding: 'utf8' })
  assert.deepEqual([status, stderr], [0, ''])
  const found = stdout.split('\n').slice(0, -1)
  assert.equal(found.length, lines.length)
  return found.map((text) => text.split(' ').filter((word) => word !== ''))
}

test('at every command bash offers its commands or arguments, and its options', (t) => {
  const commands = allCommands(program)
  const places = commands.flatMap(({ path }) => [
    [...path, ''],
    [...path, '--'],
  ])
  const found = offered(t, places)
  commands.forEach(({ path, commands: below, positions, options }, index) => {
    const what = path.join(' ')
    if (below.length > 0)
      assert.deepEqual(
        found[2 * index],
        below.map((command) => command.path.at(-1)),
        what,
      )
    else assert.deepEqual(found[2 * index], [...(positions[0]?.words ?? [])], what)
    assert.deepEqual(
      found[2 * index + 1],
      options.map(({ name }) => name),
      what,
    )
  })
  assert.deepEqual(found[0]?.includes('search') && found[0].includes('completion'), true)
})

const published = Object.keys(publishedGenotypes)
const [searches, trainings] = [Object.keys(searchPresets), Object.keys(trainPresets)]

const cases: readonly (readonly [words: readonly string[], offers: readonly string[]])[] = [
  [['se'], ['search', 'setup']],
  [['search', ''], searches],
  [['search', '--epochs', '3', '--json', 'ci'], searches.filter((name) => name.startsWith('ci'))],
  [
    ['search', 'demo', '--device', ''],
    ['auto', 'cpu', 'cuda', 'cuda:1'],
  ],
  [['search', 'demo', ''], []],
  [['search', '--out', ''], []],
  [['train', ''], published],
  [['train', 'DARTS_V2', ''], trainings],
  [['train', '--out', 'search', 'DARTS_V2', 'im'], ['imagenet']],
  [['train', '--preset', ''], trainings],
  [
    ['show', 'DDSAS_'],
    ['DDSAS_cifar10', 'DDSAS_cifar100', 'DDSAS_imagenet'],
  ],
  [['evaluate', 'weights.pt', '--genotype', 'GD'], ['GDAS_V1']],
  [
    ['export', 'run', '--to', ''],
    ['onnx', 'pytorch', 'safetensors'],
  ],
  [['data', 'f'], ['fetch']],
  [
    ['data', 'fetch', ''],
    ['cifar10', 'cifar100'],
  ],
  [['plan', ''], searches],
  [
    ['config', ''],
    ['show', 'keys', 'schema'],
  ],
  [
    ['config', 'show', ''],
    ['search', 'train'],
  ],
  [['config', 'show', 'train', ''], [...new Set([...searches, ...trainings])]],
  [['config', 'keys', 't'], ['train']],
  [['search', '--config', ''], []],
  [
    ['completion', ''],
    ['bash', 'zsh', 'fish'],
  ],
  [['help', 'ev'], ['evaluate']],
]

test('presets, published names and choices are offered where they may stand', (t) => {
  const found = offered(
    t,
    cases.map(([words]) => words),
  )
  cases.forEach(([words, offers], index) => {
    assert.deepEqual(found[index], [...offers], words.join(' '))
  })
})

test('the scripts for zsh and fish name every command and option', () => {
  const [zsh, fish] = [zshScript(program), fishScript(program)]
  for (const { path, options } of allCommands(program))
    for (const { name } of options) {
      assert.ok(zsh.includes(name), `zsh ${path.join(' ')} ${name}`)
      assert.ok(fish.includes(` -l ${name.slice(2)}`), `fish ${path.join(' ')} ${name}`)
    }
  assert.match(zsh, /\nautoload -Uz bashcompinit && bashcompinit\ncomplete -o default -F _ddsas ddsas\n$/)
  for (const line of fish.split('\n').slice(2, -1)) assert.match(line, /^complete -c ddsas -n '/)
})
