/** `ddsas nasbench`: makes a table of a benchmark's results, and asks it. `import` and `plot` are in files of their own. */
import { Command, Option } from 'commander'
import { datasets, maxSamples, maxSeeds, type RandomSearchOptions, splits } from '../benchmarks/index.ts'
import { type BestOptions, best, query, ranks, search } from './nasbench-answers.ts'
import { importCommand } from './nasbench-import.ts'
import { plotCommand } from './nasbench-plot.ts'
import { openNasbench, type TableOptions, tableOption } from './nasbench-table.ts'
import { bestText, queryText, rankText, searchText } from './nasbench-text.ts'
import { count, countTo } from './options.ts'

/** Builds `ddsas nasbench`; errors propagate as DdsasError to the caller of `parseAsync`. */
export function nasbenchCommand(): Command {
  const command = new Command('nasbench').description(
    'ask NAS-Bench-201 or NAS-Bench-101: the accuracies that others recorded of their architectures',
  )
  const asking = (name: string, description: string) =>
    command
      .command(name)
      .description(description)
      .addOption(tableOption())
      .option('--json', 'print the result as JSON')
  command.addCommand(importCommand())
  asking('query', 'what was recorded of an architecture')
    .argument('<arch>', archHelp)
    .action((arch: string, options: TableOptions) =>
      print(options, query(openNasbench(options), arch), queryText),
    )
  asking('rank', 'where an architecture stands among all, by each data set and split')
    .argument('<arch>', archHelp)
    .action((arch: string, options: TableOptions) =>
      print(options, ranks(openNasbench(options), arch), rankText),
    )
  asking('best', 'the architectures with the highest accuracies')
    .addOption(datasetOption('on which data set'))
    .addOption(new Option('--split <name>', 'on which images').choices(splits).default('test'))
    .option('--top <n>', 'how many', count, 10)
    .action((options: TableOptions & BestOptions) =>
      print(options, best(openNasbench(options), options), bestText),
    )
  asking('search', 'random search on the table: the test accuracies that it reaches, over seeds')
    .addOption(datasetOption('by whose validation accuracy the best is picked'))
    .option('--samples <n>', 'architectures that each search looks at', countTo(maxSamples), 100)
    .option('--seeds <k>', 'how many searches', countTo(maxSeeds), 10)
    .action((options: TableOptions & RandomSearchOptions) =>
      print(options, search(openNasbench(options), options), searchText),
    )
  command.addCommand(plotCommand())
  return command
}

const archHelp =
  'its text, |op~0|+|op~0|op~1|+|op~0|op~1|op~2| or op(0) op(0,1) output(1,2), or its number in the benchmark'

function datasetOption(help: string): Option {
  return new Option('--dataset <name>', help).choices(datasets).default('cifar10')
}

function print<Result>({ json }: TableOptions, result: Result, text: (result: Result) => string): void {
  console.log(json === true ? JSON.stringify(result) : text(result))
}
