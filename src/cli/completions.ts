/** What can be typed after `ddsas`, read from the program itself: commands, their options, and what may stand for values. */
import type { Command, Option } from 'commander'
import { type Suggestion, suggestionFor } from './suggestions.ts'

export interface CompletedOption {
  /** `--out`. */
  readonly name: string
  readonly description: string
  /** What its value may be; undefined where it takes none. */
  readonly value: Suggestion | undefined
}

export interface CompletedCommand {
  /** The words that name it: `data fetch`; none for the program. */
  readonly path: readonly string[]
  readonly description: string
  readonly options: readonly CompletedOption[]
  /** What each argument may be; for a command with commands below it, their names. */
  readonly positions: readonly Suggestion[]
  readonly commands: readonly CompletedCommand[]
}

/** The program and all commands below it. */
export function completionsOf(command: Command, path: readonly string[] = []): CompletedCommand {
  const commands = command.commands.map((sub) => completionsOf(sub, [...path, sub.name()]))
  const names = { words: command.commands.map((sub) => sub.name()), path: false }
  return {
    path,
    description: command.description(),
    options: [...command.options.map(completedOption), help],
    positions: commands.length > 0 ? [names] : command.registeredArguments.map(suggestionFor),
    commands,
  }
}

const help: CompletedOption = { name: '--help', description: 'display help for command', value: undefined }

function completedOption(option: Option): CompletedOption {
  const takesValue = option.required || option.optional
  return {
    name: option.long ?? option.short ?? '',
    description: option.description,
    value: takesValue ? suggestionFor(option) : undefined,
  }
}

/** A command and all below it, in one list. */
export function allCommands(command: CompletedCommand): CompletedCommand[] {
  return [command, ...command.commands.flatMap(allCommands)]
}
