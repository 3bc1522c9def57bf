/** Streams one file from a web server that is not trusted: https only, bounded, with a limit on stalls. */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { DdsasError } from '../errors.ts'

export interface DownloadOptions {
  /** A longer file is refused. */
  readonly maxBytes: number
  /** Milliseconds without a byte after which the download is given up. */
  readonly stallMs: number
  readonly signal?: AbortSignal | undefined
  /** Called with the bytes so far and in all (0 where the server does not say). */
  readonly onBytes?: (done: number, total: number) => void
}

const maxRedirects = 5

/**
 * Downloads `url` into the new file `path`.
 * @returns the MD5 sum (hex) of what was written
 * @throws DdsasError kind `input` (a URL that is not allowed) or `network` (HTTP status, stalled, too long, no connection)
 */
export async function download(url: string, path: string, options: DownloadOptions): Promise<string> {
  const stalled = new AbortController()
  const timer = setTimeout(() => stalled.abort(), options.stallMs)
  const signals = options.signal ? [stalled.signal, options.signal] : [stalled.signal]
  try {
    const response = await request(checkedUrl(url), AbortSignal.any(signals))
    return await save(response, url, path, options, () => timer.refresh())
  } catch (error) {
    if (stalled.signal.aborted) throw failure(url, `sent nothing for ${options.stallMs / 1000} s`, error)
    throw explain(error, url)
  } finally {
    clearTimeout(timer)
  }
}

function explain(error: unknown, url: string): unknown {
  // fetch reports every failure of the connection as a TypeError with the reason in its cause.
  if (!(error instanceof TypeError)) return error
  const { cause } = error
  const reason = cause instanceof Error ? ('code' in cause && cause.code) || cause.message : error.message
  return failure(url, `could not be fetched (${String(reason).split('\n')[0]})`, error)
}

/** Redirects are followed here so that each address is checked. */
async function request(start: URL, signal: AbortSignal): Promise<Response> {
  let url = start
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const headers = { 'accept-encoding': 'identity' }
    const response = await fetch(url, { redirect: 'manual', signal, headers })
    if (response.status === 200) return response
    await response.body?.cancel()
    const location = response.headers.get('location')
    if (response.status < 300 || response.status > 399 || location === null) {
      throw failure(url.href, `answered with HTTP status ${response.status}`)
    }
    url = checkedUrl(location, url)
  }
  throw failure(start.href, `redirected more than ${maxRedirects} times`)
}

function checkedUrl(text: string, from?: URL): URL {
  if (!URL.canParse(text, from?.href))
    throw new DdsasError('input', `${JSON.stringify(text)} is not a URL: give an https URL`)
  const url = new URL(text, from)
  const named = url.username !== '' || url.password !== ''
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  // A server elsewhere must not send us to a service on this machine.
  const plainAllowed = url.protocol === 'http:' && local && from?.protocol !== 'https:'
  if (!named && (url.protocol === 'https:' || plainAllowed)) return url
  const allowed = 'use https without a user name (http only for localhost)'
  throw new DdsasError('input', `${url.protocol}//${url.host} is not allowed: ${allowed}`)
}

async function save(
  response: Response,
  url: string,
  path: string,
  options: DownloadOptions,
  onData: () => void,
): Promise<string> {
  const total = Number(response.headers.get('content-length')) || 0
  const file = await open(path, 'wx')
  try {
    return await copy(response, file, url, total, options, onData)
  } finally {
    await file.close()
  }
}

async function copy(
  response: Response,
  file: FileHandle,
  url: string,
  total: number,
  options: DownloadOptions,
  onData: () => void,
): Promise<string> {
  const hash = createHash('md5')
  let done = 0
  for await (const chunk of response.body ?? []) {
    onData()
    done += chunk.length
    if (Math.max(done, total) > options.maxBytes)
      throw failure(url, `sends more than ${options.maxBytes} bytes`)
    hash.update(chunk)
    await file.writeFile(chunk)
    options.onBytes?.(done, total)
  }
  return hash.digest('hex')
}

function failure(url: string, problem: string, cause?: unknown): DdsasError {
  const remedy = 'check the address and the connection, then run it again'
  return new DdsasError('network', `${url} ${problem}: ${remedy}`, { cause })
}
