/** A step of a search whose subspaces are filled up to memory: one that comes to the limit is taken again in a smaller one. */
import { DdsasError } from '../errors.ts'
import type { CheckpointFiles } from '../runs/checkpoint.ts'
import { emptyLogs } from '../runs/folder.ts'
import { resetPeakMemory, setMemoryLimit, tensorMemory } from '../torch/index.ts'
import type { MemoryReport, StepReport } from './report.ts'
import { runsOf } from './runs.ts'
import { restoreSession, type Session, sessionFiles } from './session.ts'

/**
 * Takes a step. Where it opens a window, all that it moves is kept until it has fitted, so that nothing is half moved; `tell` is
 * then called with what was decided. Later steps of a window take what its first one took.
 */
export async function stepWithinMemory(
  session: Session,
  step: () => Promise<StepReport>,
  tell: (report: MemoryReport) => void,
): Promise<StepReport> {
  const { memory, strategy, progress, device } = session
  if (memory === undefined || strategy.opensWindow?.(progress) === false) return step()
  const { peak } = tensorMemory(device)
  const before = sessionFiles(session, emptyLogs)
  for (;;) {
    resetPeakMemory(device)
    try {
      const report = await leavingRoom(session, step)
      tell({ ...reportOf(session), peak: progress.globalStep === 0 ? null : peak })
      return report
    } catch (error) {
      if (!(error instanceof DdsasError) || error.kind !== 'memory') throw error
      // what was learned of memory stays, however often it takes
      const known = memory.state()
      restoreSession(session, readable(before))
      memory.load(known)
      if (!memory.lower()) throw error
    }
  }
}

/** Takes a step in so much less that the velocities fit from the next one on that it makes when all else is freed. */
async function leavingRoom(
  { config, device, optimizer }: Session,
  step: () => Promise<StepReport>,
): Promise<StepReport> {
  const made = optimizer.state()
  const missing = [...optimizer.parameters].reduce(
    (sum, [name, { size }]) => (made.has(name) ? sum : sum + 4 * size),
    0,
  )
  try {
    setMemoryLimit(device, Math.max(1, config.memory.limit - missing))
    return await step()
  } finally {
    setMemoryLimit(device, config.memory.limit)
  }
}

function readable(files: CheckpointFiles): Map<string, Buffer> {
  return new Map(
    Object.entries(files).map(([name, content]) => [
      name,
      typeof content === 'string'
        ? Buffer.from(content)
        : Buffer.from(content.buffer, content.byteOffset, content.byteLength),
    ]),
  )
}

/** What the window that was just opened was filled up to. */
function reportOf({ memory, strategy, space, progress }: Session): Omit<MemoryReport, 'peak'> {
  const runs = runsOf(space, strategy)
  const operations = [...runs].map(([name, rows]) => [name, rows.flat().length] as const)
  return {
    epoch: progress.epoch,
    globalStep: progress.globalStep,
    allowed: memory?.bytes ?? 0,
    predicted: memory?.predict(runs) ?? 0,
    operations: Object.fromEntries(operations),
    reason: memory?.takeReason() ?? null,
  }
}
