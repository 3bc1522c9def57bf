/** What each file must open with, and what no file may contain. */
import type { Source, Violation } from './sources.ts'

/** The patterns are written so that they do not match this file. */
const forbidden: readonly { pattern: RegExp; why: string }[] = [
  { pattern: /(?<![\w.)}-])\/(?:work|home|root|Users)\/\w/, why: 'absolute path of one machine' },
  { pattern: /\bas an[y]\b/, why: 'cast that switches type checking off' },
  { pattern: /@ts-ignor[e]/, why: 'comment that switches type checking off' },
  { pattern: /\b(?:TOD[O]|FIXM[E])\b/, why: 'unfinished work; do it or leave it out' },
]

/** Forbidden words by line, and a missing opening sentence. */
export function wordViolations({ path, text }: Source): Violation[] {
  const lines = text.split('\n')
  const found = lines.flatMap((content, index) =>
    forbidden
      .filter(({ pattern }) => pattern.test(content))
      .map(({ why }) => ({ path, line: index + 1, message: why })),
  )
  return opensWithSentence(lines)
    ? found
    : [{ path, line: 1, message: 'does not open with a comment on what it is' }, ...found]
}

/** A comment of at least three words on the first line, or the second after `#!` or a comment mark alone. */
function opensWithSentence(lines: readonly string[]): boolean {
  const [first = '', second = ''] = lines[0]?.startsWith('#!') ? lines.slice(1) : lines
  const text = /^\/\*\*?\s*$/.test(first)
    ? second.replace(/^\s*\*/, '')
    : (/^\/[/*]+(.*)/.exec(first)?.[1] ?? '')
  return (text.match(/\p{L}+/gu) ?? []).length >= 3
}
