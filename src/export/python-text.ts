/** Python source as text: code that takes several lines where one is too narrow, names, and strings. */

/** Columns a line may have. */
export const lineWidth = 100

const step = '    '

/** Code that stands in brackets: in one line where it fits, else with a line for each item. */
export interface Bracketed {
  readonly open: string
  readonly items: readonly Code[]
  readonly close: string
  /** Takes several lines in any case. */
  readonly long?: boolean
  /** Stands between the items instead of a comma; the brackets are left out in one line. */
  readonly operator?: '+'
}

export type Code = string | Bracketed

/** The code in one line, however wide. */
export function oneLine(code: Code): string {
  if (typeof code === 'string') return code
  const items = code.items.map(oneLine)
  return code.operator ? items.join(` ${code.operator} `) : `${code.open}${items.join(', ')}${code.close}`
}

function isLong(code: Code): boolean {
  return typeof code !== 'string' && (code.long === true || code.items.some(isLong))
}

/** `left`, code and `right` in one line or in several, each below `indent`. */
export function codeLines(indent: string, left: string, code: Code, right = ''): string[] {
  const whole = `${indent}${left}${oneLine(code)}${right}`
  if (typeof code === 'string' || (!isLong(code) && whole.length <= lineWidth)) return [whole]
  const items = code.items.flatMap((item, index) =>
    code.operator
      ? codeLines(indent + step, index === 0 ? '' : `${code.operator} `, item)
      : codeLines(indent + step, '', item, ','),
  )
  return [`${indent}${left}${code.open}`, ...items, `${indent}${code.close}${right}`]
}

/** The code with something before it, such as the key of a dictionary. */
export function after(left: string, code: Code): Code {
  return typeof code === 'string' ? left + code : { ...code, open: left + code.open }
}

/** A text as a string of Python; JSON's strings are. */
export function quoted(text: string): string {
  return JSON.stringify(text)
}

/** Words in lines of at most `width` columns; a word that is wider has a line of its own. */
export function wrapped(words: readonly string[], width: number): string[] {
  const lines: string[] = []
  for (const word of words) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

const keywords = new Set(
  `False None True and as assert async await break class continue def del elif else except finally for from global if
  import in is lambda nonlocal not or pass raise return try while with yield`.split(/\s+/),
)

/** Whether Python takes a text for a name. */
export function isName(text: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(text) && !keywords.has(text)
}

/** `sep_conv_3x3` -> `SepConv3x3`; '' where a text has no letter of a name. */
export function className(text: string): string {
  const words = text.replace(/^[^A-Za-z]+/, '').split(/[^A-Za-z0-9]+/)
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

/** `cells.3/2` -> `cells_3_2`; `other` where a text has no letter of a name. */
export function variableName(text: string, other: string): string {
  const name = text.replaceAll(/[^A-Za-z0-9]+/g, '_').replaceAll(/^[_0-9]+|_+$/g, '')
  return name === '' ? other : name
}

/** Names of one scope: each is given once. */
export class Names {
  readonly #taken: Set<string>

  constructor(taken: readonly string[] = []) {
    this.#taken = new Set(taken)
  }

  /** The name itself, or with a number behind it where it is taken or means something to Python. */
  unused(wanted: string): string {
    let name = wanted
    const numbered = /[0-9]$/.test(wanted) ? `${wanted}_` : wanted
    for (let count = 2; this.#taken.has(name) || !isName(name); count++) name = `${numbered}${count}`
    this.#taken.add(name)
    return name
  }
}
