/** Small disks for tests: file systems in memory, mounted where the tests run as root. */
import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** Mounts a disk; undefined, after skipping the test with the reason, where that is not possible. */
export function smallDisk(t: TestContext, megabytes: number): string | undefined {
  const path = mkdtempSync(join(tmpdir(), 'ddsas-disk-'))
  const size = `size=${megabytes}m`
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', size, 'tmpfs', path], { encoding: 'utf8' })
  t.after(() => {
    if (mount.status === 0) spawnSync('umount', [path])
    rmSync(path, { recursive: true, force: true })
  })
  if (mount.status === 0) return path
  t.skip(`cannot mount a tmpfs: ${mount.error?.message ?? mount.stderr.split('\n')[0]}`)
  return undefined
}

/** Takes all space of a disk, again and again: whoever writes there also frees some. Returns what gives it back. */
export function keepFull(disk: string): () => void {
  const path = join(disk, 'filler')
  const fill = () => {
    try {
      for (;;) appendFileSync(path, Buffer.alloc(65_536))
    } catch {
      // The disk is full, which is what was wanted.
    }
  }
  fill()
  const timer = setInterval(fill, 5)
  return () => {
    clearInterval(timer)
    rmSync(path)
  }
}

/** Lets nobody write there any more. */
export function makeReadOnly(disk: string): void {
  spawnSync('mount', ['-o', 'remount,ro', disk])
}
