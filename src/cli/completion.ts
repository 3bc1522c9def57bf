/** `ddsas completion`: a script by which a shell completes the commands, options and values of `ddsas`. */
import { Argument, Command } from 'commander'
import { bashScript, fishScript, zshScript } from './completion-scripts.ts'
import { completionsOf } from './completions.ts'

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const
type Shell = keyof typeof scripts

/** How a shell takes up the script; `npx` starts it every time, so it is kept in a file. */
const howTo = `
In ~/.bashrc or ~/.zshrc:  source <(ddsas completion bash)   # or zsh, after compinit
For fish:                  ddsas completion fish > ~/.config/fish/completions/ddsas.fish
It completes the word ddsas. Where that is not installed as a command of its own, define one first:
  ddsas() { npx ddsas "$@"; }                                # fish: function ddsas; npx ddsas $argv; end`

/** The command; `program` gives the commands to complete when it runs. `print` receives what goes to standard output. */
export function completionCommand(
  program: () => Command,
  print: (text: string) => void = (text) => process.stdout.write(text),
): Command {
  return new Command('completion')
    .description('print a script that completes commands, options and names in a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(scripts)))
    .addHelpText('after', howTo)
    .action((shell: Shell) => print(scripts[shell](completionsOf(program()))))
}
