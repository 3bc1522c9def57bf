/** All that is wrong with an image folder, found in one go: its classes, its links, and every image that cannot be decoded. */
import { extname, join } from 'node:path'
import { DdsasError } from '../errors.ts'
import { fileInfo } from './file-info.ts'
import { type FolderSplit, folderSplits, hasSplit, readImageFolder } from './folder.ts'
import { entriesOf, type FolderEntry, isPrintable, tooLarge } from './folder-files.ts'
import { forEachInFlight, tasksInFlight } from './folder-tasks.ts'
import { decodeWhole } from './image-decode.ts'

export interface CorruptImage {
  readonly split: FolderSplit
  /** `CLASS/name.jpg`. */
  readonly file: string
  /** One line. */
  readonly reason: string
}

/** What a training makes of a problem: it refuses the whole folder, or leaves the thing out. */
const consequences = {
  'empty class': 'refused',
  'class of one side': 'refused',
  'no class': 'refused',
  'unprintable name': 'refused',
  'too large': 'refused',
  unreadable: 'refused',
  'dead link': 'left out',
  'circular link': 'left out',
} as const

export interface FolderProblem {
  readonly kind: keyof typeof consequences
  /** Relative to the directory, such as `train/CLASS`; its name is as it is, control characters included. */
  readonly path: string
  /** One line. */
  readonly reason: string
}

export interface FolderCheck {
  readonly directory: string
  /** Images decoded or found corrupt. */
  readonly checked: number
  /** By split, class and name. */
  readonly corrupt: readonly CorruptImage[]
  /** Everything else that is wrong. */
  readonly problems: readonly FolderProblem[]
  /** Whether a training refuses the folder as it is. */
  readonly refused: boolean
  /** Whether there is a `val`, which a training tests on. */
  readonly hasVal: boolean
  /** Files that are no images by their names: how many of each extension. */
  readonly otherFiles: Readonly<Record<string, number>>
  /** Images that lie in no class folder. */
  readonly looseImages: number
  /** Folders in class folders. */
  readonly innerFolders: number
}

export interface FolderCheckOptions {
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

/**
 * Lists what is wrong with `train`, and with `val` where there is one, and decodes all their images in full.
 * @throws DdsasError kind `data` where there is no `train`: the folder is none of images
 */
export async function checkImageFolder(
  directory: string,
  { onProgress }: FolderCheckOptions = {},
): Promise<FolderCheck> {
  // its error says how a folder of images looks
  if (!fileInfo(join(directory, 'train'))?.isDirectory()) readImageFolder(directory, 'train')
  const scan = new Scan(directory)
  const splits = folderSplits.filter((split) => hasSplit(directory, split))
  const classes = splits.map((split) => scan.split(split))
  if (classes.length === 2) scan.compare(classes[0], classes[1])
  const corrupt = await corruptOf(directory, scan.images, onProgress)
  const { problems, otherFiles, looseImages, innerFolders } = scan
  return {
    directory,
    checked: scan.images.length,
    corrupt,
    problems,
    refused: problems.some(({ kind }) => consequences[kind] === 'refused'),
    hasVal: splits.includes('val'),
    otherFiles,
    looseImages,
    innerFolders,
  }
}

type ListedImage = Omit<CorruptImage, 'reason'>

/** What was found so far. */
class Scan {
  readonly #directory: string
  readonly problems: FolderProblem[] = []
  readonly images: ListedImage[] = []
  readonly otherFiles: Record<string, number> = {}
  looseImages = 0
  innerFolders = 0

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Returns the names of the class folders. */
  split(split: FolderSplit): string[] {
    const entries = this.#entries(split)
    if (entries === undefined) return []
    this.looseImages += entries.filter(({ kind }) => kind === 'image').length
    const classes = entries.filter(({ kind }) => kind === 'folder').map(({ name }) => name)
    if (classes.length === 0) this.#add('no class', split, 'no class folders')
    for (const name of classes) this.#class(split, name)
    return classes
  }

  #class(split: FolderSplit, name: string): void {
    const path = `${split}/${name}`
    const entries = this.#entries(path)
    if (entries === undefined) return
    this.innerFolders += entries.filter(({ kind }) => kind === 'folder').length
    const images = entries.filter(({ kind }) => kind === 'image')
    if (images.length === 0) this.#add('empty class', path, 'class folder without images')
    for (const image of images) {
      const problem = tooLarge(image.bytes)
      if (problem !== undefined) this.#add('too large', `${path}/${image.name}`, problem)
      else this.images.push({ split, file: `${name}/${image.name}` })
    }
  }

  compare(train: readonly string[], val: readonly string[]): void {
    const [inTrain, inVal] = [new Set(train), new Set(val)]
    for (const name of train)
      if (!inVal.has(name)) this.#add('class of one side', `train/${name}`, 'class that val lacks')
    for (const name of val)
      if (!inTrain.has(name)) this.#add('class of one side', `val/${name}`, 'class that train lacks')
  }

  /** What is in a folder, unless it cannot be read; what is wrong with it at first sight is noted. */
  #entries(path: string): FolderEntry[] | undefined {
    const entries = this.#read(path)
    for (const { name, kind } of entries ?? []) {
      const inner = `${path}/${name}`
      if (!isPrintable(name) && kind !== 'other')
        this.#add('unprintable name', inner, 'has control characters')
      if (kind === 'dead') this.#add('dead link', inner, 'link that leads nowhere')
      if (kind === 'circular') this.#add('circular link', inner, 'link to a folder that it lies in')
      if (kind === 'other') this.#count(extname(name).toLowerCase())
    }
    return entries
  }

  #read(path: string): FolderEntry[] | undefined {
    try {
      return entriesOf(join(this.#directory, path))
    } catch (error) {
      if (!(error instanceof DdsasError)) throw error
      this.#add('unreadable', path, error.message)
      return undefined
    }
  }

  #count(extension: string): void {
    const key = extension === '' || !isPrintable(extension) ? 'without extension' : extension
    this.otherFiles[key] = (this.otherFiles[key] ?? 0) + 1
  }

  #add(kind: FolderProblem['kind'], path: string, reason: string): void {
    this.problems.push({ kind, path, reason })
  }
}

async function corruptOf(
  directory: string,
  images: readonly ListedImage[],
  onProgress: FolderCheckOptions['onProgress'],
): Promise<CorruptImage[]> {
  const reasons = new Map<number, string>()
  let checked = 0
  await forEachInFlight(images.length, tasksInFlight, async (position) => {
    const { split, file } = images[position]
    const reason = await whyCorrupt(join(directory, split, file))
    if (reason !== undefined) reasons.set(position, reason)
    checked++
    onProgress?.(checked, images.length)
  })
  const positions = [...reasons.keys()].sort((a, b) => a - b)
  return positions.map((position) => ({ ...images[position], reason: reasons.get(position) ?? '' }))
}

async function whyCorrupt(path: string): Promise<string | undefined> {
  try {
    await decodeWhole(path)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
