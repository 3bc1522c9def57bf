/** Several processes for one run: started here by `--nproc`, or by torchrun, srun or the like on one or more machines. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { joinRanks } from '../distributed/join.ts'
import { type Place, placeFrom } from '../distributed/place.ts'
import { oneProcess, type Ranks } from '../distributed/ranks.ts'
import { DdsasError } from '../errors.ts'
import type { StopSignal } from '../loop/request.ts'
import { resolveDevice } from '../torch/index.ts'

/** The most processes that may be asked for on a machine. */
export const maxProcesses = 64

/** Seconds to wait for ranks that have not come, unless DDSAS_JOIN_SECONDS says otherwise. */
const usualSeconds = 300

/** Names the process that started this one, which must not outlive it before all have joined. */
const launcherVariable = 'DDSAS_LAUNCHER'

interface Options {
  readonly nproc?: number | undefined
  readonly device?: string | undefined
}

/** Whether this process is the first of its run, or the only one. */
export function isFirst(): boolean {
  return (placeFrom(process.env)?.rank ?? 0) === 0
}

/**
 * Runs `body` with the processes that share the run, and returns what it gives on rank 0; on the others undefined: they print nothing
 * but what rank 0 cannot know. Processes that were started here end with it.
 */
export async function withRanks<Result>(
  { nproc = 1, device = 'auto' }: Options,
  signal: StopSignal,
  body: (ranks: Ranks) => Promise<Result>,
): Promise<Result | undefined> {
  const given = placeFrom(process.env)
  if (given !== undefined && nproc > 1)
    throw new DdsasError(
      'input',
      `--nproc ${nproc} with RANK or the like in the environment: leave one out, they are two ways to start processes`,
    )
  const children: ChildProcess[] = []
  const place = given ?? (nproc > 1 ? firstOf(nproc) : undefined)
  if (place === undefined) return body(oneProcess)
  let failed: string | undefined
  const serving = (port: number) => {
    if (given !== undefined) return
    for (let rank = 1; rank < nproc; rank++) {
      const child = startRank(rank, nproc, port)
      child.once('exit', (code) => {
        failed ??= `rank ${rank} ended with code ${code} before all had joined`
      })
      children.push(child)
    }
  }
  const look = () => {
    if (signal.aborted) throw new DdsasError('interrupted', 'stopped while waiting for the other processes')
    if (failed !== undefined) throw new DdsasError('rank', failed)
    checkLauncher()
  }
  let ranks: Ranks = oneProcess
  let ended: { readonly error?: unknown } = {}
  try {
    const own = resolveDevice(device, place.localRank)
    const join = { version: packageVersion(), device: own, seconds: joinSeconds(), look, serving }
    ranks = await joinRanks(place, join)
    const result = await body(ranks)
    return place.rank === 0 ? result : undefined
  } catch (error) {
    ended = { error }
    if (place.rank > 0 && isKnownToFirst(error)) process.exitCode = exitCodeOf(error)
    else throw error
  } finally {
    ranks.leave(isShared(ended.error) ? undefined : ended.error)
    await Promise.all(children.map(endOf))
  }
  return undefined
}

/** Rank 0 of processes on this machine, started here. */
function firstOf(world: number): Place {
  return { rank: 0, world, localRank: 0, localWorld: world, host: '127.0.0.1', port: 0 }
}

/** The same command as another rank. Its standard output is not wanted; the terminal's Ctrl-C reaches it as well as this process. */
function startRank(rank: number, world: number, port: number): ChildProcess {
  const env = {
    ...process.env,
    RANK: String(rank),
    WORLD_SIZE: String(world),
    LOCAL_RANK: String(rank),
    LOCAL_WORLD_SIZE: String(world),
    MASTER_ADDR: '127.0.0.1',
    MASTER_PORT: String(port),
    [launcherVariable]: String(process.pid),
  }
  const args = [...process.execArgv, ...process.argv.slice(1)]
  const words = args.flatMap((word, index) =>
    word.startsWith('--nproc=') || word === '--nproc' || args[index - 1] === '--nproc' ? [] : [word],
  )
  return spawn(process.execPath, words, { env, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Throws where the process that started this one is gone. */
function checkLauncher(): void {
  const launcher = process.env[launcherVariable]
  if (launcher === undefined || String(process.ppid) === launcher) return
  throw new DdsasError('rank', `rank 0 (process ${launcher}) is gone`)
}

/** A rank that was told to end does so by itself; one that hangs is ended. */
async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const late = setTimeout(() => child.kill('SIGKILL'), 15_000)
  await new Promise((resolve) => child.once('exit', resolve))
  clearTimeout(late)
}

/** What ends all ranks alike, so that nobody needs to be told. */
function isShared(error: unknown): boolean {
  return error instanceof DdsasError && (error.kind === 'interrupted' || error.kind === 'nonfinite')
}

/** Whether rank 0 says what another one would say: it is told why a rank that was started by it ended. */
function isKnownToFirst(error: unknown): boolean {
  if (process.env[launcherVariable] !== undefined && !/^rank 0 /.test(String(messageOf(error)))) return true
  return (
    isShared(error) ||
    (error instanceof DdsasError && error.kind === 'rank' && !/^rank 0 /.test(error.message))
  )
}

function messageOf(error: unknown): unknown {
  return error instanceof Error ? error.message : error
}

function exitCodeOf(error: unknown): number {
  return error instanceof DdsasError ? error.exitCode : 1
}

function joinSeconds(): number {
  const text = process.env.DDSAS_JOIN_SECONDS
  if (text === undefined) return usualSeconds
  const seconds = Number(text)
  if (seconds > 0 && seconds <= 1e6) return seconds
  throw new DdsasError('input', `DDSAS_JOIN_SECONDS=${text}: seconds are wanted, more than 0`)
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version
}
