/** `ddsas help`: the help of the program or of a command, also of one below another. */
import { Argument, Command } from 'commander'
import { DdsasError } from '../errors.ts'
import { suggesting } from './suggestions.ts'

/** The command; `names`: of the commands beside it, for completion. */
export function helpCommand(names: readonly string[]): Command {
  return new Command('help')
    .description('display the help of a command')
    .addArgument(suggesting(new Argument('[command...]', 'words that name it'), names))
    .action((words: readonly string[], _options: object, help: Command) => {
      let found = help.parent ?? help
      for (const word of words) {
        const next = found.commands.find((command) => command.name() === word)
        if (next === undefined) throw unknown(words, found)
        found = next
      }
      found.outputHelp()
    })
}

function unknown(words: readonly string[], { commands }: Command): DdsasError {
  const known = commands.map((command) => command.name()).join(', ') || 'none below it'
  return new DdsasError('input', `there is no command '${words.join(' ')}'; known are ${known}`)
}
