/** Tests of scripts/libtorch.mjs on made-up installations: order, layouts, versions, refusals. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { load, tree } from './support.ts'

interface Places {
  debian: string
  homebrew: string[]
  cuda: string
}
type Env = Record<string, string | undefined>
interface Module {
  findLibtorch(env: Env, places: Places): Record<string, unknown> | undefined
}

const { findLibtorch } = await load<Module>('scripts/libtorch.mjs')
const nowhere: Places = { debian: '/nonexistent', homebrew: [], cuda: '/nonexistent' }

/** The files that make up a libtorch, below a prefix inside a tree. */
function libtorchFiles(prefix: string, version: string, lib = 'lib', more: Record<string, string> = {}) {
  const files = {
    'include/torch/csrc/api/include/torch/version.h': `#define TORCH_VERSION \\\n  "${version}"\n`,
    'include/ATen/ATen.h': '#error C++17 or later compatible compiler is required to use ATen.\n',
    [`${lib}/libtorch.so`]: '',
    ...more,
  }
  return Object.fromEntries(Object.entries(files).map(([path, text]) => [`${prefix}${path}`, text]))
}

/** A folder with a python3 that answers as the real one would for a torch package in `torch`. */
function fakePython(root: string, torch: string): string {
  const python = join(root, 'python3')
  writeFileSync(python, `#!/bin/sh\necho "${torch}"\n`)
  chmodSync(python, 0o755)
  return root
}

const names = ['root', 'version', 'lib', 'cxx11Abi', 'cxxStandard', 'cuda', 'source']

function summary(found: Record<string, unknown> | undefined) {
  return found && Object.fromEntries(names.map((name) => [name, found[name]]))
}

function everywhere(t: TestContext) {
  const root = tree(t, {
    ...libtorchFiles('own/', '2.1.0'),
    ...libtorchFiles('site/torch/', '2.2.0'),
    ...libtorchFiles('usr/', '1.13.0', 'lib/x86_64-linux-gnu'),
    ...libtorchFiles('brew/', '2.3.0'),
  })
  const places = { debian: join(root, 'usr'), homebrew: [join(root, 'brew')], cuda: '/nonexistent' }
  return { root, places, PATH: fakePython(root, join(root, 'site/torch')) }
}

/** As Debian's python3-torch lies beside libtorch-dev: folders of headers and libraries are links into /usr. */
function linkedPackage(root: string): string {
  const torch = join(root, 'usr/lib/python3/dist-packages/torch')
  for (const folder of ['include', 'lib']) mkdirSync(join(torch, folder), { recursive: true })
  for (const name of ['torch', 'ATen'])
    symlinkSync(`../../../../../include/${name}`, join(torch, 'include', name))
  symlinkSync('../../../../x86_64-linux-gnu/libtorch.so', join(torch, 'lib/libtorch.so'))
  return torch
}

test("Debian's torch package for Python is Debian's libtorch: nothing is built anew for it", (t) => {
  const { root, places } = everywhere(t)
  const without = findLibtorch({ PATH: '' }, places)
  assert.equal(without?.source, 'debian')
  assert.deepEqual(findLibtorch({ PATH: fakePython(root, linkedPackage(root)) }, places), without)
})

test('LIBTORCH comes before python3, Debian, Homebrew', (t) => {
  const { root, places, PATH } = everywhere(t)
  assert.equal(findLibtorch({ PATH, LIBTORCH: join(root, 'own') }, places)?.source, 'LIBTORCH')
  assert.equal(findLibtorch({ PATH }, places)?.source, 'python3')
  assert.equal(findLibtorch({ PATH: '' }, places)?.source, 'debian')
  assert.equal(findLibtorch({ PATH: '' }, { ...places, debian: '/nonexistent' })?.source, 'homebrew')
  assert.equal(findLibtorch({ PATH: '' }, nowhere), undefined)
})

test('LIBTORCH without a libtorch is refused, not skipped', (t) => {
  const root = tree(t, { 'lib/readme.txt': '' })
  assert.throws(() => findLibtorch({ LIBTORCH: root }, nowhere), {
    message: /LIBTORCH=.* holds no libtorch.*unset it/,
    exitCode: 2,
  })
})

test('Debian: libraries in a folder named after the machine, ABI from beside them', (t) => {
  const cmake = {
    'lib/x86_64-linux-gnu/cmake/Torch/TorchConfig.cmake': 'set(F "-D_GLIBCXX_USE_CXX11_ABI=1")',
  }
  const root = tree(t, libtorchFiles('', '1.13.0', 'lib/x86_64-linux-gnu', cmake))
  assert.deepEqual(summary(findLibtorch({ PATH: '' }, { ...nowhere, debian: root })), {
    root,
    version: '1.13.0',
    lib: join(root, 'lib/x86_64-linux-gnu'),
    cxx11Abi: 1,
    cxxStandard: 17,
    cuda: false,
    source: 'debian',
  })
})

test('an old wheel: old ABI', (t) => {
  const cmake = { 'share/cmake/Torch/TorchConfig.cmake': 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")' }
  const root = tree(t, libtorchFiles('', '2.0.1', 'lib', cmake))
  assert.equal(findLibtorch({ LIBTORCH: root }, nowhere)?.cxx11Abi, 0)
})

test('a new wheel: version in another header, C++20, CUDA with its headers beside it', (t) => {
  const newer = {
    'include/torch/csrc/api/include/torch/version.h': '#include <torch/headeronly/version.h>\n',
    'include/torch/headeronly/version.h':
      '#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION \\\n  "2.15.0"\n',
    'include/ATen/ATen.h': '#error C++20 or later compatible compiler is required to use ATen.\n',
    'lib/libtorch_cuda.so': '',
  }
  const cuda = 'site/nvidia/cu13/include'
  const headers = {
    [`${cuda}/cuda_runtime_api.h`]: '',
    [`${cuda}/crt/host_defines.h`]: '',
    'site/nvidia/nccl/include/nccl.h': '',
  }
  const root = tree(t, { ...libtorchFiles('site/torch/', '', 'lib', newer), ...headers })
  const PATH = fakePython(root, join(root, 'site/torch'))
  const found = findLibtorch({ PATH }, nowhere)
  assert.deepEqual(summary(found), {
    root: join(root, 'site/torch'),
    version: '2.15.0',
    lib: join(root, 'site/torch/lib'),
    cxx11Abi: undefined,
    cxxStandard: 20,
    cuda: true,
    source: 'python3',
  })
  const include = (name: string) => join(root, 'site/nvidia', name, 'include')
  assert.deepEqual(found?.cudaInclude, [include('cu13'), include('nccl')])
})

test('a python3 whose torch has no headers is passed over', (t) => {
  const root = tree(t, { 'site/torch/__init__.py': '', ...libtorchFiles('usr/', '1.13.0') })
  const PATH = fakePython(root, join(root, 'site/torch'))
  assert.equal(findLibtorch({ PATH }, { ...nowhere, debian: join(root, 'usr') })?.source, 'debian')
})
