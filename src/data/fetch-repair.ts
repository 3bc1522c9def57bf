/** Which files of a data set a fetch puts in place: what is missing or damaged; what is sound stays, and so do other images. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DdsasError } from '../errors.ts'
import { recordBytes } from './cifar-files.ts'
import { type CifarName, cifarLayouts } from './cifar-layout.ts'
import { md5OfFile } from './fetch-folder.ts'

export interface Repair {
  readonly missing: readonly string[]
  /** There, and not what was published. */
  readonly damaged: readonly string[]
}

type State = 'sound' | 'missing' | 'damaged' | 'other'

/**
 * Compares what is in `folder` with the MD5 sums of the published files, by name. A file of whole records with another sum
 * is damaged where a published one lies beside it; where none does, the folder is someone's own.
 * @throws DdsasError kind `data` where the folder holds images of one's own, which a fetch would destroy
 */
export async function planRepair(
  dataset: CifarName,
  folder: string,
  sums: ReadonlyMap<string, string>,
  onFile: (done: number, total: number) => void = () => {},
): Promise<Repair> {
  const record = recordBytes(cifarLayouts[dataset])
  const states = new Map<string, State>()
  for (const [name, sum] of sums) {
    onFile(states.size, sums.size)
    states.set(name, await stateOf(join(folder, name), sum, record))
  }
  const inState = (wanted: State) => [...states].flatMap(([name, state]) => (state === wanted ? [name] : []))
  const others = inState('other')
  if (others.length > 0 && !inState('sound').some(isRecords))
    throw new DdsasError(
      'data',
      `${folder} holds other images than ${dataset} (${others.join(', ')}): name another folder with --data, or move them away`,
    )
  return { missing: inState('missing'), damaged: [...inState('damaged'), ...others] }
}

async function stateOf(path: string, sum: string, record: number): Promise<State> {
  const info = await stat(path).catch(() => undefined)
  if (info === undefined) return 'missing'
  if ((await md5OfFile(path)) === sum) return 'sound'
  return isRecords(path) && info.isFile() && info.size > 0 && info.size % record === 0 ? 'other' : 'damaged'
}

/** The lists of names are text. */
function isRecords(name: string): boolean {
  return name.endsWith('.bin')
}
