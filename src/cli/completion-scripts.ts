/** Completions as scripts for bash, zsh and fish. */
import { allCommands, type CompletedCommand } from './completions.ts'
import type { Suggestion } from './suggestions.ts'

/** A branch of a `case` for each thing that is known; words hold no character that a shell would take for its own. */
function branches(entries: readonly (readonly [key: string, suggestion: Suggestion])[]): string {
  return entries
    .map(([key, { words, path }]) => `    '${key}') words='${words.join(' ')}'; path=${path ? 1 : 0} ;;\n`)
    .join('')
}

/**
 * The words before the one under the cursor are walked through: which command they name, and how many arguments stand
 * behind it. Then options, an option's value, or what the next argument may be are offered.
 */
export function bashScript(program: CompletedCommand): string {
  const commands = allCommands(program)
  const named = commands.map((command) => ({ ...command, name: command.path.join(' ') }))
  const values = named.flatMap(({ name, options }) =>
    options.flatMap(({ name: option, value }) => (value ? [[`${name} ${option}`, value] as const] : [])),
  )
  const options = named.map(
    (command) => [command.name, { words: command.options.map(({ name }) => name), path: false }] as const,
  )
  const positions = named.flatMap(({ name, positions: all }) =>
    all.map((suggestion, index) => [`${name} ${index}`, suggestion] as const),
  )
  const below = named.slice(1).map(({ path }) => `'${path.slice(0, -1).join(' ')} ${path.at(-1)}'`)
  return `# Completion of ddsas for bash; made by: ddsas completion bash
_ddsas() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" command='' position=0 words='' path=1 word i=1
  while [ "$i" -lt "$COMP_CWORD" ]; do
    word="\${COMP_WORDS[i]}"
    case "$command $word" in
    ${below.join(' | ')})
      command="\${command:+$command }$word"; position=0 ;;
    ${values.map(([key]) => `'${key}'`).join(' | ')})
      i=$((i + 1)) ;;
    *' -'*) ;;
    *) position=$((position + 1)) ;;
    esac
    i=$((i + 1))
  done
  case "$command \${COMP_WORDS[COMP_CWORD - 1]}" in
${branches(values)}    *)
    case "$cur" in
    -*)
    path=0
    case "$command" in
${branches(options)}    esac ;;
    *)
    path=0
    case "$command $position" in
${branches(positions)}    esac ;;
    esac ;;
  esac
  COMPREPLY=()
  for word in $words; do
    case "$word" in "$cur"*) COMPREPLY+=("$word") ;; esac
  done
  # where no word fits, paths are offered, unless there is none to name
  if [ "$path" = 0 ] && [ -n "\${BASH_VERSION:-}" ]; then compopt +o default 2>/dev/null || :; fi
  return 0
}
complete -o default -F _ddsas ddsas
`
}

/** zsh runs the script for bash by what it brings along for that. */
export function zshScript(program: CompletedCommand): string {
  const script = bashScript(program).replace(
    /^.*\n/,
    '# Completion of ddsas for zsh; made by: ddsas completion zsh\n',
  )
  return script.replace(/^complete /m, 'autoload -Uz bashcompinit && bashcompinit\ncomplete ')
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

export function fishScript(program: CompletedCommand): string {
  return `# Completion of ddsas for fish; made by: ddsas completion fish
complete -c ddsas -f
${allCommands(program).flatMap(fishLines).join('\n')}
`
}

function fishLines({ path, options, positions, commands }: CompletedCommand): string[] {
  const names = commands.map((command) => command.path.at(-1) ?? '')
  const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`)
  const none = names.length > 0 ? [`not __fish_seen_subcommand_from ${names.join(' ')}`] : []
  const when = fishQuoted([...seen, ...none].join('; and '))
  const line = `complete -c ddsas -n ${when}`
  const ways = commands.map(
    (command) => `${line} -a ${command.path.at(-1)} -d ${fishQuoted(command.description)}`,
  )
  const flags = options.map(({ name, description, value }) => {
    const words = value && value.words.length > 0 ? ` -a ${fishQuoted(value.words.join(' '))}` : ''
    const how = value === undefined ? '' : value.path ? ' -r -F' : ' -x'
    return `${line} -l ${name.replace(/^--/, '')}${how}${words} -d ${fishQuoted(description)}`
  })
  const words = commands.length > 0 ? [] : [...new Set(positions.flatMap((position) => position.words))]
  const files = commands.length === 0 && positions.some((position) => position.path) ? [`${line} -F`] : []
  return [
    ...ways,
    ...flags,
    ...(words.length > 0 ? [`${line} -a ${fishQuoted(words.join(' '))}`] : []),
    ...files,
  ]
}
