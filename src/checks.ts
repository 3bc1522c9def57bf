/** Checks of what comes from JavaScript, where no compiler has seen types: as settings are, with the first thing wrong. */
import { z } from 'zod'
import { DdsasError } from './errors.ts'

/** "weightOptimizer.lr: expected number, received string": the first thing wrong; `whole`: what a value without keys is called. */
export function firstProblem(error: z.ZodError, whole: string): string {
  const [issue] = error.issues
  const key = [...issue.path, ...(issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])].join('.')
  const message = issue.code === 'unrecognized_keys' ? 'there is no such setting' : issue.message
  return `${key || whole}: ${message.replace(/^Invalid input: /, '')}`
}

/** Throws DdsasError 'input' where a value that was given to `what` is not what `schema` says; keys beyond it may stand. */
export function checkGiven(schema: z.ZodType, value: unknown, what: string, name: string): void {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new DdsasError('input', `${what}: ${firstProblem(parsed.error, name)}`)
}

/** Throws DdsasError 'input' where what should be a text is none. */
export function checkText(value: unknown, what: string, name: string): void {
  checkGiven(z.string(), value, what, name)
}

/** The parsed value, or undefined where `text` is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
