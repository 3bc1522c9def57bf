/** Runs asynchronous tasks with a bounded number under way, and lets those under way go on. */
import { setImmediate as turn } from 'node:timers/promises'

/** Enough to keep the four threads of Node's pool busy while the results of others are looked at. */
export const tasksInFlight = 8

/** Files read at a time: reading one takes the pool several short tasks. */
export const filesOpen = 16

/** Calls task(0) … task(count - 1), at most `limit` at a time; stops starting at the first that fails, and throws that. */
export async function forEachInFlight(
  count: number,
  limit: number,
  task: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const work = async () => {
    while (next < count) {
      const index = next++
      try {
        await task(index)
      } catch (error) {
        next = count
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: limit }, work))
}

/** A gate that lets at most `limit` of the tasks given to it run at a time, in the order in which they came. */
export function limiter(limit: number): <Result>(task: () => Promise<Result>) => Promise<Result> {
  const waiting: (() => void)[] = []
  let free = limit
  return async (task) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await task()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}

/**
 * Lets the event loop take what the thread pool has done by now, and hand it the tasks that follow from that. To be
 * awaited before computing on this thread, which leaves the loop no time: one turn may have looked before a task ended.
 */
export async function takeResults(): Promise<void> {
  await turn()
  await turn()
}
