/** `ddsas control`: changes the space of a search by hand while it runs. */
import { Argument, Command } from 'commander'
import { DdsasError } from '../errors.ts'
import { askChange, type ChangeAnswer, resumeCommand } from '../search/ask-change.ts'
import { spaces } from '../spaces/index.ts'
import { sampledGroups } from '../strategies/ddsas/settings.ts'
import { changeText, type SpaceChange } from '../strategies/shared/space-change.ts'
import { counted } from '../words.ts'
import { count } from './options.ts'
import { groupLines } from './search-text.ts'
import { suggestedArgument } from './suggestions.ts'

const kinds = ['shrink', 'expand', 'close', 'only'] as const
type Kind = (typeof kinds)[number]

const operations = [
  ...new Set(
    Object.values(spaces).flatMap((space) => sampledGroups(space).flatMap(({ candidates }) => candidates)),
  ),
]

/** The command. `print` receives what goes to standard output. */
export function controlCommand(
  print: (text: string) => void = (text) => process.stdout.write(text),
): Command {
  return new Command('control')
    .description('change the space of a search while it runs: taken up at its next window')
    .argument('<run>', 'folder of the search')
    .addArgument(
      new Argument(
        '<change>',
        'shrink: delete the least salient; expand: add on every edge; close: delete by name; only: all that there is',
      ).choices(kinds),
    )
    .addArgument(
      suggestedArgument('<what...>', 'how many of each group for shrink, else operations', operations),
    )
    .option('--json', 'print the answer as one JSON object')
    .action((run: string, kind: Kind, what: readonly string[], { json }: { readonly json?: boolean }) => {
      const answer = askChange({ run, change: changeOf(kind, what) })
      print(`${json ? JSON.stringify({ kind: 'control', ...answer }) : answerText(answer)}\n`)
    })
}

function changeOf(kind: Kind, what: readonly string[]): SpaceChange {
  if (kind !== 'shrink') return { kind, operations: [...what] }
  if (what.length === 1 && /^[1-9]\d{0,8}$/.test(what[0])) return { kind, count: count(what[0]) }
  throw new DdsasError(
    'input',
    `shrink takes how many operations go, as in "shrink 14", not '${what.join(' ')}'`,
  )
}

function answerText({ run, change, running, globalStep, before, groups }: ChangeAnswer): string {
  const when = running
    ? 'the search takes it up at its next window'
    : `no search runs there; it waits until that goes on: ${resumeCommand(run)}`
  const others = before > 0 ? [`after ${counted(before, 'change')} asked for before`] : []
  const decided = change.kind === 'shrink' ? ['which operations go is decided then'] : []
  return [
    `asked for: ${changeText(change)}; ${when}`,
    ...[...others, ...decided].map((line) => `  ${line}`),
    `the space then, by what was saved after step ${globalStep}:`,
    ...groupLines(groups),
  ].join('\n')
}
