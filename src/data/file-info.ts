/** Looks at files from outside: what is there, and an error of one line where that cannot be told. */
import { type Stats, statSync } from 'node:fs'
import { DdsasError } from '../errors.ts'

/**
 * What is at a path; undefined where there is nothing.
 * @throws DdsasError kind `data` where that cannot be told
 */
export function fileInfo(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw unreadable(path, error)
  }
}

export function unreadable(path: string, cause: unknown): DdsasError {
  const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
  return new DdsasError('data', `${path} cannot be read (${reason}): check the path and its permissions`, {
    cause,
  })
}
