/** Classes of Python as text. */

import { type Code, codeLines, isName, quoted } from './python-text.ts'
import type { Forward } from './pytorch-forward.ts'

const inClass = '    '
const inMethod = '        '

export interface ClassText {
  readonly name: string
  readonly base: 'nn.Module' | 'nn.Sequential'
  readonly docstring?: string
  /** Of the constructor. */
  readonly parameters: readonly string[]
  /** Modules by their names; a Sequential's in order. */
  readonly modules: readonly (readonly [name: string, code: Code])[]
  readonly forward?: Forward
}

/** The lines of a class. */
export function classLines({ name, base, docstring, parameters, modules, forward }: ClassText): string[] {
  const said = docstring === undefined ? [] : [`${inClass}"""${docstring}"""`]
  const signature = { open: 'def __init__(', items: ['self', ...parameters], close: '):' }
  const items = modules.map(([, code]) => code)
  const made =
    base === 'nn.Sequential'
      ? codeLines(inMethod, '', { open: 'super().__init__(', items, close: ')', long: true })
      : [`${inMethod}super().__init__()`, ...modules.flatMap(([child, code]) => attribute(child, code))]
  const constructed = modules.length > 0 ? [...codeLines(inClass, '', signature), ...made] : []
  const called = forward ? forwardLines(forward) : []
  const parts = [said, constructed, called].filter((lines) => lines.length > 0)
  return [`class ${name}(${base}):`, ...parts.flatMap((lines, index) => (index > 0 ? ['', ...lines] : lines))]
}

function attribute(name: string, code: Code): string[] {
  if (isName(name)) return codeLines(inMethod, `self.${name} = `, code)
  return codeLines(inMethod, '', { open: 'self.add_module(', items: [quoted(name), code], close: ')' })
}

function forwardLines({ parameters, statements }: Forward): string[] {
  return [
    ...codeLines(inClass, '', { open: 'def forward(', items: ['self', ...parameters], close: '):' }),
    ...statements.flatMap((line) =>
      'loop' in line
        ? [`${inMethod}${line.loop}`, `${inMethod}    ${line.body}`]
        : codeLines(inMethod, line.left, line.code),
    ),
  ]
}
