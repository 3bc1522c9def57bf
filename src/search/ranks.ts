/** What the processes of a search do as one: rank 0 samples for all, and all see that they hold the same. */

import { z } from 'zod'
import { parseJson } from '../checks.ts'
import type { Ranks } from '../distributed/ranks.ts'
import { DdsasError } from '../errors.ts'
import { namedParameters } from '../nn/index.ts'
import type { StateDict } from '../strategies/strategy.ts'
import { decodeSafetensors, encodeSafetensors, tidy } from '../torch/index.ts'
import type { SearchConfig, SearchParts } from './config.ts'
import { fillsMemory } from './memory-request.ts'
import type { Session } from './session.ts'

/** Throws DdsasError 'input' for settings that several processes cannot keep to. */
export function checkShared(config: SearchConfig, parts: SearchParts, { world }: Ranks): void {
  if (world === 1) return
  if (fillsMemory(config, parts))
    throw new DdsasError(
      'input',
      `subspaces are filled up to the memory of one process, not of ${world}: leave out --memory (or ddsas.fill), or use one process`,
    )
  const { syncBatchNorm, data } = config
  if (!syncBatchNorm || data.microBatch === 0) return
  throw new DdsasError(
    'input',
    `syncBatchNorm = true with data.microBatch = ${data.microBatch}: parts that are computed one after the other have no statistics in common; leave one out`,
  )
}

const dataSchema = z.record(z.string(), z.unknown())

/**
 * Prepares a step. Where that sampled anew, all take over what rank 0 sampled: a score may be rounded otherwise elsewhere. What they
 * end the window with must be the same. Throws DdsasError 'rank' naming one that has something else.
 */
export function prepareStep(session: Session): void {
  const { strategy, progress, ranks } = session
  const before = strategy.graphKey
  strategy.prepareStep(progress)
  if (ranks.world === 1 || strategy.graphKey === before) return
  const held = heldBytes(session)
  const data = ranks.broadcast(Buffer.from(JSON.stringify(strategy.state().data)))
  if (ranks.rank > 0) takeOver(session, data)
  ranks.same([...held, JSON.stringify(strategy.state().data)], `after step ${progress.globalStep}`)
}

function takeOver({ strategy }: Session, data: Uint8Array): void {
  tidy(() => {
    // copies: what is loaded must not be what it is loaded into
    const tensors = decodeSafetensors(encodeSafetensors(strategy.state().tensors), 'the strategy').tensors
    const state: StateDict = {
      tensors,
      data: dataSchema.parse(parseJson(Buffer.from(data).toString('utf8'))),
    }
    strategy.load(state)
  })
}

/** The weights, and the architecture parameters with their optimizer's state. */
function heldBytes({ supernet, strategy }: Session): Uint8Array[] {
  const weights = [...namedParameters(supernet).values()].map((weight) => weight.bytes())
  return [...weights, encodeSafetensors(strategy.state().tensors)]
}

/** Throws DdsasError 'rank' naming a process that holds something else than the others; `when`: "after epoch 1". */
export function checkSame(session: Session, when: string): void {
  const { strategy, ranks } = session
  if (ranks.world === 1) return
  ranks.same([...heldBytes(session), JSON.stringify(strategy.state().data)], when)
}
