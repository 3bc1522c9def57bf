/** What may stand for an argument or an option's value, for completion; unlike commander's choices nothing is refused. */
import { Argument, type Option } from 'commander'

export interface Suggestion {
  /** Words that it may be. */
  readonly words: readonly string[]
  /** Whether it may also be a path. */
  readonly path: boolean
}

const suggestions = new WeakMap<Argument | Option, Suggestion>()

/** Notes what an argument or an option's value may be, and returns it. */
export function suggesting<Part extends Argument | Option>(
  part: Part,
  words: readonly string[],
  path = false,
): Part {
  suggestions.set(part, { words, path })
  return part
}

/** An argument of a command with what it may be. */
export function suggestedArgument(name: string, help: string, words: readonly string[]): Argument {
  return suggesting(new Argument(name, help), words)
}

/** What was noted, else commander's choices, else a path where the name of the value is that of one. */
export function suggestionFor(part: Argument | Option): Suggestion {
  const noted = suggestions.get(part)
  if (noted || part.argChoices) return noted ?? { words: part.argChoices ?? [], path: false }
  const name = part instanceof Argument ? part.name() : part.flags
  return { words: [], path: /dir|run|file|weights/.test(name.replace(/^--\S+/, '')) }
}
