/**
 * Finds the libtorch to build against: `LIBTORCH`, the PyTorch of `python3`, Debian's libtorch-dev, Homebrew's pytorch.
 *
 * Plain JavaScript on Node's own modules: the set-up runs it before any dependency is installed.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/**
 * @typedef {object} Libtorch
 * @property {string} root folder that holds include and lib
 * @property {string} version as the headers state it, such as 2.9.1
 * @property {string[]} include folders for the compiler's header search
 * @property {string} lib folder with the shared libraries
 * @property {0 | 1 | undefined} cxx11Abi value of _GLIBCXX_USE_CXX11_ABI; undefined: the compiler's own
 * @property {17 | 20} cxxStandard oldest C++ standard that the headers accept, at least 17
 * @property {boolean} cuda whether the CUDA half is there
 * @property {string[]} cudaInclude folders with the CUDA run-time's headers, empty where none were found
 * @property {boolean} gloo whether the headers of its Gloo are there, which process groups need
 * @property {string[]} cudaHomes folders whose bin may hold CUDA's compiler
 * @property {'LIBTORCH' | 'python3' | 'debian' | 'homebrew'} source
 */

/** Where packaged libtorches lie; tests pass folders of their own. */
export const places = {
  debian: '/usr',
  homebrew: ['/opt/homebrew/opt/pytorch', '/usr/local/opt/pytorch'],
  cuda: '/usr/local/cuda',
}

const apiHeaders = 'torch/csrc/api/include'

/**
 * The first libtorch found, or undefined.
 * @param {Record<string, string | undefined>} env
 * @param {typeof places} where
 * @returns {Libtorch | undefined}
 * @throws {Error} with `exitCode` 2 where LIBTORCH names a folder without a libtorch
 */
export function findLibtorch(env = process.env, where = places) {
  const cuda = cudaHomes(env, where)
  if (env.LIBTORCH) return fromVariable(env.LIBTORCH, cuda)
  const python = pythonTorch(env)
  const found = python && describe(python, 'python3', cuda)
  const debian = describe(where.debian, 'debian', cuda)
  // Debian's python3-torch is made of links into its libtorch-dev: what was built for the one is built for the other.
  if (found && !(debian && isSame(found, debian))) return found
  if (debian) return debian
  for (const root of where.homebrew) {
    const brewed = describe(root, 'homebrew', cuda)
    if (brewed) return brewed
  }
  return undefined
}

function fromVariable(path, cuda) {
  const root = resolve(path)
  const found = describe(root, 'LIBTORCH', cuda)
  if (found) return found
  const message =
    `LIBTORCH=${path} holds no libtorch: expected ${join(root, 'include', apiHeaders, 'torch/version.h')} and ` +
    `lib/libtorch.so; point LIBTORCH to an unpacked libtorch or an installed torch package, or unset it`
  throw Object.assign(new Error(message), { exitCode: 2 })
}

/** Folder of the torch package that python3 would import, found without importing it, which takes seconds. */
function pythonTorch(env) {
  const code =
    'import importlib.util as u\ns = u.find_spec("torch")\nprint(*(s.submodule_search_locations or []) if s else [])'
  try {
    const out = execFileSync('python3', ['-c', code], {
      env,
      timeout: 10_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return out.toString().trim().split('\n')[0] || undefined
  } catch {
    return undefined
  }
}

/** Whether two descriptions are of one library with one set of headers. */
function isSame(one, other) {
  const [header, otherHeader] = [one, other].map(({ root }) => realpathSync(versionHeader(root)))
  return one.lib === other.lib && header === otherHeader
}

function versionHeader(root) {
  return join(root, 'include', apiHeaders, 'torch/version.h')
}

/** @returns {Libtorch | undefined} */
function describe(root, source, cudaRoots) {
  const include = join(root, 'include')
  const header = versionHeader(root)
  const lib = libFolder(root)
  if (!existsSync(header) || !lib) return undefined
  const cuda = hasLibrary(lib, 'torch_cuda')
  return {
    root,
    version: versionIn([header, join(include, 'torch/headeronly/version.h')]),
    // The compiler searches /usr/include by itself; naming it as a system folder breaks #include_next in libstdc++.
    include: [include, join(include, apiHeaders)].filter((folder) => folder !== '/usr/include'),
    lib,
    cxx11Abi: abiIn([join(root, 'share/cmake'), join(lib, 'cmake')]),
    cxxStandard: standardIn(join(include, 'ATen/ATen.h')),
    cuda,
    gloo: existsSync(join(include, 'gloo/rendezvous/store.h')),
    cudaInclude: cuda ? cudaHeaders(root, cudaRoots) : [],
    cudaHomes: cuda ? [...cudaRoots, ...wheelsOf(root)] : [],
    source,
  }
}

/** Debian puts libraries in a folder named after the machine, such as lib/x86_64-linux-gnu. */
function libFolder(root) {
  const lib = join(root, 'lib')
  if (!existsSync(lib)) return undefined
  const multiarch = readdirSync(lib).filter((name) => /^[a-z0-9_]+-linux-gnu/.test(name))
  for (const name of ['.', ...multiarch]) {
    const library = libraryFile(join(lib, name), 'torch')
    if (library) return dirname(realpathSync(library))
  }
  return undefined
}

function libraryFile(folder, name) {
  return ['.so', '.dylib'].map((end) => join(folder, `lib${name}${end}`)).find((file) => existsSync(file))
}

function hasLibrary(folder, name) {
  return libraryFile(folder, name) !== undefined
}

function versionIn(headers) {
  for (const header of headers) {
    const match =
      existsSync(header) && /#define TORCH_VERSION\s*\\?\s*"([^"]+)"/.exec(readFileSync(header, 'utf8'))
    if (match) return match[1]
  }
  return 'unknown'
}

function abiIn(cmakeFolders) {
  for (const folder of cmakeFolders) {
    const config = join(folder, 'Torch/TorchConfig.cmake')
    const match = existsSync(config) && /_GLIBCXX_USE_CXX11_ABI=([01])/.exec(readFileSync(config, 'utf8'))
    if (match) return match[1] === '1' ? 1 : 0
  }
  return undefined
}

/**
 * ATen's first header refuses an older compiler with one line: C++14 in 1.13, C++17 from 2.1, C++20 from 2.14. Reading it
 * holds for builds between releases too. Our own code needs 17.
 */
function standardIn(header) {
  const match = existsSync(header) && /#error C\+\+(\d+) or later/.exec(readFileSync(header, 'utf8'))
  return match && Number(match[1]) >= 20 ? 20 : 17
}

/** Where a CUDA tool kit may lie: named by the environment, the one whose compiler is on the path, the usual place. */
function cudaHomes(env, where) {
  const onPath = (env.PATH ?? '').split(':').find((folder) => folder && existsSync(join(folder, 'nvcc')))
  return [env.CUDA_HOME, env.CUDA_PATH, onPath && dirname(realpathSync(onPath)), where.cuda].filter(
    (path) => path,
  )
}

/** Folders of NVIDIA's packages beside an installed torch package. */
function wheelsOf(root) {
  const wheels = join(dirname(root), 'nvidia')
  return existsSync(wheels) ? readdirSync(wheels).map((name) => join(wheels, name)) : []
}

/**
 * ATen's CUDA headers include those of the CUDA run-time: the ones that wheels bring along, where those are whole, or a tool
 * kit's.
 */
function cudaHeaders(root, homes) {
  const packaged = wheelsOf(root)
    .map((wheel) => join(wheel, 'include'))
    .filter((folder) => existsSync(folder))
  const isWhole = (folder) =>
    ['cuda_runtime_api.h', 'crt/host_defines.h'].every((name) => existsSync(join(folder, name)))
  if (packaged.some(isWhole)) return packaged
  const home = homes.map((path) => join(path, 'include')).find(isWhole)
  return home ? [home, ...packaged] : []
}
