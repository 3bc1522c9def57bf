/** A lock between set-ups of one checkout: the second waits for the first; a lock whose owner died is taken over. */
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const pollMs = 200

/** Runs `work` while holding the lock file in `folder`. */
export async function withLock(folder, say, work) {
  mkdirSync(folder, { recursive: true })
  const lock = join(folder, 'setup.lock')
  await acquire(lock, say)
  const release = () => rmSync(lock, { force: true })
  process.once('exit', release)
  try {
    return await work()
  } finally {
    process.off('exit', release)
    release()
  }
}

async function acquire(lock, say) {
  let told = false
  while (!tryLock(lock)) {
    const owner = readOwner(lock)
    if (owner === undefined) continue
    if (!isAlive(owner)) {
      removeStale(lock)
    } else if (!told) {
      say(`waiting for another set-up, process ${owner.pid}`)
      told = true
    }
    await sleep(pollMs)
  }
}

/** A link appears with its content at once, so nobody ever reads a lock without an owner. */
function tryLock(lock) {
  const aside = `${lock}.${process.pid}`
  writeFileSync(aside, JSON.stringify({ pid: process.pid, started: startTime(process.pid) }))
  try {
    linkSync(aside, lock)
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  } finally {
    unlinkSync(aside)
  }
}

function readOwner(lock) {
  try {
    return JSON.parse(readFileSync(lock, 'utf8'))
  } catch {
    return undefined
  }
}

/** The start time tells the owner from a later process that was given the same number. */
function isAlive(owner) {
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    if (error.code !== 'EPERM') return false
  }
  return owner.started === startTime(owner.pid)
}

/** Ticks since boot at which a process started, on Linux; undefined elsewhere. */
function startTime(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

/** One at a time, and looking again inside: otherwise a slow second taker would remove the first taker's new lock. */
function removeStale(lock) {
  const guard = `${lock}.takeover`
  try {
    mkdirSync(guard)
  } catch {
    if (isOld(guard)) rmSync(guard, { recursive: true, force: true })
    return
  }
  const owner = readOwner(lock)
  if (owner && !isAlive(owner)) rmSync(lock, { force: true })
  rmSync(guard, { recursive: true, force: true })
}

function isOld(path) {
  try {
    return Date.now() - statSync(path).mtimeMs > 10_000
  } catch {
    return false
  }
}
