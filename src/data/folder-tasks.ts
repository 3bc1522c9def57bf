/** Runs asynchronous tasks with a bounded number under way, and lets those under way go on. */
import { setImmediate as turn } from 'node:timers/promises'

/** Enough to keep the four threads of Node's pool busy while the results of others are looked at. */
export const tasksInFlight = 8

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

/**
 * Lets the event loop take what the thread pool has done by now, and hand it the tasks that follow from that. To be
 * awaited before computing on this thread, which leaves the loop no time: one turn may have looked before a task ended.
 */
export async function takeResults(): Promise<void> {
  await turn()
  await turn()
}
