/** `ddsas candidates`: the best architectures of a search so far, with what their networks cost. */
import { Command } from 'commander'
import { type Candidates, findCandidates } from '../search/candidates.ts'
import { networkText } from '../search/limits.ts'
import { counted } from '../words.ts'
import { countTo } from './options.ts'

interface CandidatesOptions {
  readonly top: number
  readonly json?: boolean
}

/** The command. `print` receives what goes to standard output. */
export function candidatesCommand(
  print: (text: string) => void = (text) => process.stdout.write(text),
): Command {
  return new Command('candidates')
    .description(
      'the best architectures of a search by what it has learnt so far, with parameters and multiply-adds',
    )
    .argument('<run>', 'folder of the search, which may be running')
    .option('--top <n>', 'how many', countTo(1000), 10)
    .option('--json', 'print the result as JSON')
    .action((run: string, { top, json }: CandidatesOptions) => {
      const found = findCandidates({ run, top })
      print(`${json ? JSON.stringify(toJson(found)) : candidatesText(found)}\n`)
    })
}

function toJson({ space, candidates, ...about }: Candidates): object {
  const lines = candidates.map((one) => ({ ...one, text: space.format(one.architecture) }))
  return { kind: 'candidates', ...about, space: space.name, candidates: lines }
}

const whats = {
  scores: 'score: the sum of what the search gives their operations',
  accuracy: 'score: accuracy on validation images with the shared weights',
} as const

function candidatesText({ space, strategy, progress, by, network, candidates }: Candidates): string {
  const grouped = (value: number) => value.toLocaleString('en-US')
  const rows = candidates.map(({ score, distance, parameters, multiplyAdds }, index) =>
    [
      String(index + 1).padStart(4),
      score.toFixed(4).padStart(8),
      distance.toFixed(2).padStart(4),
      grouped(parameters).padStart(12),
      grouped(multiplyAdds).padStart(15),
    ].join('  '),
  )
  return [
    `${space.name} by ${strategy}, after ${counted(progress.globalStep, 'step')}; ${whats[by]};`,
    `dist: distance to the first; in networks of ${networkText(network)}`,
    '',
    `${'rank'.padStart(4)}  ${'score'.padStart(8)}  dist  ${'parameters'.padStart(12)}  ${'multiply-adds'.padStart(15)}`,
    ...rows,
    '',
    ...candidates.map(
      ({ architecture }, index) => `${String(index + 1).padStart(4)}  ${space.format(architecture)}`,
    ),
  ].join('\n')
}
