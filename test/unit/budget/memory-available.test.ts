/** What is free, read from files as Linux shows them: the machine's and those of both versions of control groups. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { freemem, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { availableMemory } from '../../../src/budget/memory-available.ts'

function available(files: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(tmpdir(), 'ddsas-memory-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true })
      writeFileSync(join(root, name), text)
    }
    return availableMemory('cpu', root)
  } finally {
    rmSync(root, { recursive: true })
  }
}

const meminfo = { 'proc/meminfo': 'MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:   1000 kB\n' }
const machine = { bytes: 1_024_000, where: 'free on this machine' }
const group = (bytes: number) => ({ bytes, where: 'left to this control group' })

test('MemAvailable, not MemFree', () => {
  assert.deepEqual(available(meminfo), machine)
})

test('version 2: the tightest group up to the outermost; unused files in the cache make room', () => {
  const files = {
    ...meminfo,
    'proc/self/cgroup': '0::/outer/inner\n',
    'sys/fs/cgroup/outer/inner/memory.max': 'max\n',
    'sys/fs/cgroup/outer/inner/memory.current': '5\n',
    'sys/fs/cgroup/outer/memory.max': '500000\n',
    'sys/fs/cgroup/outer/memory.current': '300000\n',
    'sys/fs/cgroup/outer/memory.stat': 'anon 1\ninactive_file 1000\n',
  }
  assert.deepEqual(available(files), group(201_000))
  assert.deepEqual(available({ ...files, 'sys/fs/cgroup/outer/memory.max': '900000000\n' }), machine)
  assert.deepEqual(available({ ...files, 'sys/fs/cgroup/outer/memory.current': '600000\n' }), group(0))
})

test('version 1: the controller of memory, also where a container shows the outermost folder alone', () => {
  const files = {
    ...meminfo,
    'proc/self/cgroup': '9:name=systemd:/\n5:memory:/docker/abc\n3:cpu,cpuacct:/\n',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': '700000\n',
    'sys/fs/cgroup/memory/memory.usage_in_bytes': '100000\n',
    'sys/fs/cgroup/memory/memory.stat': 'inactive_file 7\ntotal_inactive_file 50\n',
  }
  assert.deepEqual(available(files), group(600_050))
  const unlimited = { ...files, 'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n' }
  assert.deepEqual(available(unlimited), machine)
})

test('without such files, what the system calls free', () => {
  const found = available({})
  assert.ok(found !== undefined && Math.abs(found.bytes - freemem()) < 2 ** 30)
})
