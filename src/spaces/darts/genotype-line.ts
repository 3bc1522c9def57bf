/** A strict little reader of one Python call with keyword arguments of lists, tuples, strings, integers and ranges. */

/** What an argument may hold: tuples and lists both become arrays. */
export type PythonValue = string | number | PythonValue[]

const tokenPattern = /\s*(?:([A-Za-z_]\w*)|(\d{1,9})|'([^'\\\n]*)'|"([^"\\\n]*)"|([()[\],=]))/y
const maxCharacters = 100_000
const maxDepth = 4
const maxRange = 100

type Token =
  | { readonly kind: 'name' | 'string' | 'mark'; readonly text: string; readonly at: number }
  | { readonly kind: 'number'; readonly value: number; readonly at: number; readonly text: string }

/**
 * Reads `Name(key=value, ...)` or `TARGET = Name(key=value, ...)`. Nothing is evaluated: text with any other
 * construct is refused.
 * @param refuse makes the error that is thrown from what was found where.
 */
export function parsePythonCall(
  text: string,
  refuse: (what: string) => Error,
): { name: string; fields: Record<string, PythonValue> } {
  if (text.length > maxCharacters) throw refuse(`has ${text.length} characters; give one call`)
  const reader = new Reader(tokenize(text, refuse), refuse)
  let name = reader.name()
  if (reader.skip('=')) name = reader.name()
  const fields = new Map<string, PythonValue>()
  reader.expect('(')
  while (!reader.skip(')')) {
    const key = reader.name()
    if (fields.has(key)) throw refuse(`has ${key} twice; give it once`)
    reader.expect('=')
    fields.set(key, reader.value(0))
    if (!reader.skip(',')) {
      reader.expect(')')
      break
    }
  }
  reader.end()
  return { name, fields: Object.fromEntries(fields) }
}

function tokenize(text: string, refuse: (what: string) => Error): Token[] {
  const tokens: Token[] = []
  const pattern = new RegExp(tokenPattern)
  const end = text.trimEnd().length
  while (pattern.lastIndex < end) {
    const at = pattern.lastIndex
    const match = pattern.exec(text)
    if (match === null)
      throw refuse(`unreadable at character ${at}: ${JSON.stringify(text.slice(at, at + 20).trim())}`)
    const [, name, number, single, double, mark] = match
    if (number !== undefined) tokens.push({ kind: 'number', value: Number(number), text: number, at })
    else if (name !== undefined) tokens.push({ kind: 'name', text: name, at })
    else if (mark !== undefined) tokens.push({ kind: 'mark', text: mark, at })
    else tokens.push({ kind: 'string', text: single ?? double ?? '', at })
  }
  return tokens
}

/** Walks over the tokens of one call. */
class Reader {
  readonly #tokens: readonly Token[]
  readonly #refuse: (what: string) => Error
  #at = 0

  constructor(tokens: readonly Token[], refuse: (what: string) => Error) {
    this.#tokens = tokens
    this.#refuse = refuse
  }

  skip(mark: string): boolean {
    const token = this.#tokens[this.#at]
    const found = token?.kind === 'mark' && token.text === mark
    if (found) this.#at++
    return found
  }

  expect(mark: string): void {
    if (!this.skip(mark)) throw this.#unexpected(mark)
  }

  end(): void {
    if (this.#at < this.#tokens.length) throw this.#unexpected('the end')
  }

  name(): string {
    const token = this.#tokens[this.#at]
    if (token?.kind !== 'name') throw this.#unexpected('a name')
    this.#at++
    return token.text
  }

  value(depth: number): PythonValue {
    if (depth > maxDepth) throw this.#refuse('is nested too deep')
    const token = this.#tokens[this.#at]
    if (this.skip('[')) return this.#items(']', depth)
    if (this.skip('(')) return this.#items(')', depth)
    this.#at++
    if (token?.kind === 'number') return token.value
    if (token?.kind === 'string') return token.text
    if (token?.kind === 'name' && token.text === 'range') return this.#range(depth)
    this.#at--
    throw this.#unexpected('a list, a string or a number')
  }

  #items(close: string, depth: number): PythonValue[] {
    const items: PythonValue[] = []
    while (!this.skip(close)) {
      items.push(this.value(depth + 1))
      if (this.skip(',')) continue
      this.expect(close)
      break
    }
    return items
  }

  #range(depth: number): number[] {
    this.expect('(')
    const [from, to, more] = this.#items(')', depth)
    const valid =
      typeof from === 'number' && typeof to === 'number' && more === undefined && to - from <= maxRange
    if (!valid) throw this.#refuse('has an unusable range; give range(first, end)')
    return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index)
  }

  #unexpected(wanted: string): Error {
    const token = this.#tokens[this.#at]
    const found =
      token === undefined ? 'the text ends' : `character ${token.at} is ${JSON.stringify(token.text)}`
    return this.#refuse(`${found} where ${wanted} should be`)
  }
}
