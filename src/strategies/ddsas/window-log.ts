/** The records of a search's windows: one is begun when a window opens, and handed over once when it has ended. */
import type { Progress } from '../strategy.ts'
import type { SampledGroup, Values } from './group.ts'
import {
  endedWindow,
  openedWindow,
  type WindowLine,
  type WindowMemory,
  type WindowOpening,
} from './window-record.ts'

/** What a window was sampled by. */
export interface Sampled {
  /** By group. */
  readonly values: Readonly<Record<string, Values>>
  readonly memory: WindowMemory | undefined
  /** c. */
  readonly exploration: number
  /** T. */
  readonly totalPulls: number
}

/** How a window ended. */
export type WindowEnd = Pick<WindowLine, 'closed' | 'credited' | 'last' | 'architecture'>

type Groups = ReadonlyMap<string, SampledGroup>

function each<Value>(
  groups: Groups,
  of: (group: SampledGroup, name: string) => Value,
): Record<string, Value> {
  return Object.fromEntries([...groups].map(([name, group]) => [name, of(group, name)]))
}

export class WindowLog {
  /** The open window's part of its record: what a checkpoint keeps. */
  opening: WindowOpening | undefined
  /** The record of the window that ended last, until it is taken. */
  #ended: WindowLine | undefined

  open(
    { epoch, globalStep: opened }: Pick<Progress, 'epoch' | 'globalStep'>,
    groups: Groups,
    { values, memory, ...constants }: Sampled,
  ): void {
    const opening = each(groups, ({ state: { pulls, mask, available }, rewardMeans: mean }, name) => ({
      ...values[name],
      ...{ pulls, mask, available, mean },
    }))
    this.opening = openedWindow({ epoch, opened, ...constants }, opening, memory)
  }

  end(end: WindowEnd, groups: Groups): void {
    this.#ended =
      this.opening &&
      endedWindow(
        this.opening,
        end,
        each(groups, ({ scores }) => scores),
      )
  }

  take(): WindowLine | undefined {
    const record = this.#ended
    this.#ended = undefined
    return record
  }

  /** Goes on in a window that a checkpoint tells of. */
  load(opening: WindowOpening | undefined): void {
    this.opening = opening
    this.#ended = undefined
  }
}
