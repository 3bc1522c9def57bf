/** The strategy of a run as its last checkpoint holds it, without the supernet: for who looks at a search, or asks it for something. */
import { readTensors } from '../loop/state-file.ts'
import type { Progress } from '../nn/step.ts'
import type { RunFolder } from '../runs/folder.ts'
import type { SearchSpace } from '../spaces/space.ts'
import type { Strategy } from '../strategies/strategy.ts'
import { Generator, tidy } from '../torch/index.ts'
import type { SearchConfig, SearchParts } from './config.ts'
import { readSearchState } from './session.ts'

export interface SavedSearch {
  /** At the last checkpoint; at the beginning where there is none. */
  readonly progress: Progress
  /** The strategy as it was, which the caller disposes of; `space`: the run's, or the same within limits. */
  strategy(space?: SearchSpace): Strategy
}

/** Throws DdsasError 'checkpoint' where the last checkpoint cannot be read. */
export function readSaved(run: RunFolder, config: SearchConfig, parts: SearchParts): SavedSearch {
  const files = latestCheckpoint(run)
  const state = files && readSearchState(files, config, parts)
  const { epoch, step, globalStep } = state?.progress ?? { epoch: 0, step: 0, globalStep: 0 }
  return {
    progress: { epoch, step, globalStep },
    strategy: (space = parts.space) => {
      const { seed, epochs } = config
      const init = { device: 'cpu', generator: new Generator(seed, 'weights') }
      const strategy = parts.strategy.create({ space, init, seed, epochs }, config)
      if (files && state)
        tidy(() =>
          strategy.load({ tensors: readTensors(files, 'strategy.safetensors'), data: state.strategy }),
        )
      return strategy
    },
  }
}

/** The running search may replace the one that is being read: the next is then there. */
function latestCheckpoint(run: RunFolder): Map<string, Buffer> | undefined {
  const [latest] = run.checkpointSteps().slice(-1)
  try {
    return run.loadCheckpoint(latest)?.files
  } catch (error) {
    if (run.checkpointSteps().at(-1) === latest) throw error
    return run.loadCheckpoint()?.files
  }
}
