/** Decodes every image of a folder and lists those that cannot be. */
import { type FolderSplit, folderSplits, hasSplit, imagePath, readImageFolder } from './folder.ts'
import { forEachInFlight, tasksInFlight } from './folder-tasks.ts'
import { decodeWhole } from './image-decode.ts'

export interface CorruptImage {
  readonly split: FolderSplit
  /** `CLASS/name.jpg`. */
  readonly file: string
  /** One line. */
  readonly reason: string
}

export interface FolderCheck {
  readonly directory: string
  /** Images decoded or found corrupt. */
  readonly checked: number
  /** By split, class and name. */
  readonly corrupt: readonly CorruptImage[]
}

export interface FolderCheckOptions {
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

/**
 * Decodes all images of `train`, and of `val` where there is one, in full.
 * @throws DdsasError kind `data` as `readImageFolder`; corrupt images are no error but listed
 */
export async function checkImageFolder(
  directory: string,
  { onProgress }: FolderCheckOptions = {},
): Promise<FolderCheck> {
  const splits = folderSplits.filter((split) => split === 'train' || hasSplit(directory, split))
  const folders = splits.map((split) => readImageFolder(directory, split))
  const total = folders.reduce((sum, { count }) => sum + count, 0)
  const corrupt: CorruptImage[] = []
  let checked = 0
  for (const folder of folders) {
    const found = new Map<number, string>()
    await forEachInFlight(folder.count, tasksInFlight, async (position) => {
      const reason = await whyCorrupt(imagePath(folder, position))
      if (reason !== undefined) found.set(position, reason)
      checked++
      onProgress?.(checked, total)
    })
    const positions = [...found.keys()].sort((a, b) => a - b)
    for (const position of positions)
      corrupt.push({ split: folder.split, file: folder.files[position], reason: found.get(position) ?? '' })
  }
  return { directory, checked, corrupt }
}

async function whyCorrupt(path: string): Promise<string | undefined> {
  try {
    await decodeWhole(path)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
