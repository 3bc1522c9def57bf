/** What the help of each command ends with: an example that works as it stands, and what `--json` does with errors. */
import type { Command } from 'commander'
import { commandLine } from '../words.ts'

/** By the words that name the command. */
const examples: Readonly<Record<string, readonly string[]>> = {
  '': ['search demo', 'help search'],
  data: ['data fetch cifar10'],
  plan: ['plan demo --set data.batch=64 --lengths 20,28,56'],
  search: [
    'search cifar10 --out runs/first --seed 1 --set ddsas.subspace=20',
    'search folder --data PHOTOS',
    'search cifar10 --config mine.json',
    'search cifar10 --memory 4GB --time 2h',
    'search --resume runs/first',
  ],
  control: ['control runs/first expand sep_conv_5x5', 'control runs/first shrink 14'],
  candidates: ['candidates runs/first --top 5', 'candidates runs/first --json'],
  train: ['train DDSAS_cifar10 --out runs/trained --epochs 100', 'train runs/first imagenet --data IMAGES'],
  evaluate: [
    'evaluate runs/trained --weights best',
    'evaluate weights.pt --genotype DARTS_V2 --data data --json',
  ],
  show: ['show runs/first --out drawings', 'show DDSAS_cifar10 --json'],
  describe: ['describe DDSAS_imagenet', 'describe runs/first --channels 16 --cells 8'],
  export: [
    'export runs/trained --to onnx --input bytes',
    'export runs/trained --to pytorch --out network.py',
  ],
  config: ['config keys train', 'config show runs/first'],
  'config show': ['config show search demo --set epochs=5', 'config show train folder --config mine.json'],
  'config keys': ['config keys search', 'config keys train folder --json'],
  'config schema': ['config schema train > train.schema.json'],
  'data fetch': ['data fetch cifar10 --data data'],
  'data info': ['data info data --dataset cifar10'],
  'data check': ['data check IMAGES'],
  'data stats': ['data stats IMAGES'],
  latency: ['latency show phone.json'],
  'latency measure': [
    'latency measure --space darts --out here.json',
    'latency measure --network imagenet --threads 4 --out here.json',
  ],
  'latency show': ['latency show here.json'],
  'latency predict': ['latency predict here.json DDSAS_cifar10'],
  'latency check': ['latency check phone.json --networks 20'],
  nasbench: ['nasbench query 6111 --table nb201.table'],
  'nasbench import': ['nasbench import nasbench201.csv --out nb201.table'],
  'nasbench query': ['nasbench query 6111 --table nb201.table'],
  'nasbench rank': ['nasbench rank 6111 --table nb201.table --json'],
  'nasbench best': ['nasbench best --dataset cifar100 --top 5 --table nb201.table'],
  'nasbench search': ['nasbench search --samples 100 --seeds 10 --table nb201.table'],
  'nasbench plot': ['nasbench plot --table nb201.table --out charts --run runs/first'],
  doctor: ['doctor --json'],
  setup: ['setup'],
  completion: ['completion bash > ddsas-completion.bash'],
  help: ['help data fetch'],
}

/** Gives a command and all below it their examples; `path`: the words that name it. */
export function addExamples(command: Command, path = ''): void {
  const own = examples[path] ?? []
  if (own.length > 0) command.addHelpText('after', helpText(command, own))
  for (const sub of command.commands) addExamples(sub, `${path} ${sub.name()}`.trim())
}

const jsonErrors = 'With --json an error is one JSON object on standard error: kind, message, exitCode.'

function helpText(command: Command, own: readonly string[]): string {
  const title = own.length === 1 ? 'Example:' : 'Examples:'
  const json = command.options.some(({ long }) => long === '--json') ? `\n\n${jsonErrors}` : ''
  return `\n${[title, ...own.map((words) => `  ${commandLine(words)}`)].join('\n')}${json}`
}

/** All examples as words behind `ddsas`, for the test that parses them. */
export const exampleWords: readonly (readonly string[])[] = Object.values(examples)
  .flat()
  .map((example) => example.split(' > ')[0]?.split(' ') ?? [])
