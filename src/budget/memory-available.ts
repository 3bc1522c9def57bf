/** How much memory this process may still take: of the machine, of its control groups, or of a CUDA device. */
import { readFileSync } from 'node:fs'
import { freemem } from 'node:os'
import { dirname, join } from 'node:path'
import { tensorMemory } from '../torch/index.ts'

export interface Available {
  readonly bytes: number
  /** Where that is from, as part of a sentence: "free on this machine". */
  readonly where: string
}

/** What is free for `device` now; undefined where nobody can tell. `root`: where Linux shows its files. */
export function availableMemory(device: string, root = '/'): Available | undefined {
  return device === 'cpu' ? hostMemory(root) : deviceMemory(device)
}

function deviceMemory(device: string): Available | undefined {
  const { free } = tensorMemory(device)
  return free > 0 ? { bytes: free, where: `free on ${device}` } : undefined
}

function hostMemory(root: string): Available {
  const kibibytes = /^MemAvailable:\s*(\d+) kB$/m.exec(read(join(root, 'proc/meminfo')) ?? '')?.[1]
  const machine = kibibytes === undefined ? freemem() : 1024 * Number(kibibytes)
  const group = Math.max(0, Math.min(...groupFolders(root).map(groupRoom)))
  return group < machine
    ? { bytes: group, where: 'left to this control group' }
    : { bytes: machine, where: 'free on this machine' }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/**
 * The folders of the control groups that this process is in, up to the outermost, for both versions. In a container the
 * path may be that of the host, of which only the outermost folder is there.
 */
function groupFolders(root: string): string[] {
  const lines = (read(join(root, 'proc/self/cgroup')) ?? '').split('\n')
  return lines.flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (path === undefined) return []
    if (controllers === '') return foldersUpTo(join(root, 'sys/fs/cgroup'), path)
    return controllers?.split(',').includes('memory')
      ? foldersUpTo(join(root, 'sys/fs/cgroup/memory'), path)
      : []
  })
}

function foldersUpTo(top: string, path: string): string[] {
  const inner = join('/', path)
  const above = inner === '/' ? [] : foldersUpTo(top, dirname(inner))
  return [...above, join(top, inner)]
}

/** What the limit of a group leaves: files in the cache that nobody uses make room when it is needed. */
function groupRoom(folder: string): number {
  const number = (name: string) => Number.parseInt(read(join(folder, name)) ?? '', 10)
  const first = (...names: readonly string[]) => names.map(number).find(Number.isFinite)
  const limit = first('memory.max', 'memory.limit_in_bytes')
  const used = first('memory.current', 'memory.usage_in_bytes')
  if (limit === undefined || used === undefined) return Number.POSITIVE_INFINITY
  const stat = read(join(folder, 'memory.stat')) ?? ''
  const cached = /^(?:total_)?inactive_file (\d+)$/m
  return limit - used + Number((/^total_inactive_file (\d+)$/m.exec(stat) ?? cached.exec(stat))?.[1] ?? 0)
}
