/** The parts of a text that are written from results: between `<!-- figures:NAME -->` and `<!-- /figures -->`. */
import { DdsasError } from '../../src/errors.ts'

/** The lines of each block of one text, by its name. */
export type Blocks = Readonly<Record<string, readonly string[]>>

const block = /<!-- figures:([a-z-]+) -->\n[\s\S]*?<!-- \/figures -->/g
/** Columns. */
const width = 125

const mark = /<!-- (?:figures:[a-z-]+|\/figures) -->/g

/** The text with all its blocks written anew. Throws DdsasError 'input' where marks and blocks do not fit; `path` names it. */
export function writeBlocks(text: string, blocks: Blocks, path: string): string {
  const found = [...text.matchAll(block)].map(([, name]) => name)
  for (const name of found)
    if (!(name in blocks))
      throw new DdsasError(
        'input',
        `${path} has a block of figures '${name}' that nothing writes; remove its marks`,
      )
  for (const name of Object.keys(blocks))
    if (found.filter((one) => one === name).length !== 1)
      throw new DdsasError(
        'input',
        `${path} needs one block <!-- figures:${name} --> … <!-- /figures -->; put it back`,
      )
  if ((text.match(mark) ?? []).length !== 2 * found.length)
    throw new DdsasError(
      'input',
      `${path} has a mark of figures without its other one; each block needs both`,
    )
  return text.replace(
    block,
    (_, name: string) =>
      `<!-- figures:${name} -->\n${blocks[name].flatMap(wrapped).join('\n').trim()}\n<!-- /figures -->`,
  )
}

/** A sentence in lines of the usual length; rows of tables and images stay whole. */
function wrapped(line: string): string[] {
  if (/^[|!#]/.test(line)) return [line]
  const lines: string[] = []
  let now = ''
  for (const word of line.split(' ')) {
    const longer = now === '' ? word : `${now} ${word}`
    if (longer.length > width && now !== '') lines.push(now)
    now = longer.length > width && now !== '' ? word : longer
  }
  return [...lines, now]
}

/** The text without its blocks, code and comments, line by line as it was. */
export function prose(text: string): string {
  const blank = (part: string) => part.replace(/[^\n]/g, '')
  return text
    .replace(block, blank)
    .replace(/^```[\s\S]*?^```/gm, blank)
    .replace(/`[^`\n]*`/g, '')
}
