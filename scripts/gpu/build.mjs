/** Builds build/Release/ddsas.node against this machine's PyTorch with CMake alone, for the GPUs that are here. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { findLibtorch } from '../libtorch.mjs'
import { cmakeSettings } from '../setup/addon.mjs'

const root = resolve(import.meta.dirname, '../..')
const folder = join(root, 'build/gpu-cmake')

function main() {
  const libtorch = findLibtorch()
  if (!libtorch?.cuda) throw new Error('there is no PyTorch with CUDA here: install one, or set LIBTORCH')
  const settings = {
    ...cmakeSettings(libtorch),
    CMAKE_BUILD_TYPE: 'Release',
    CMAKE_JS_INC: ['node-api-headers/include', 'node-addon-api']
      .map((p) => join(root, 'node_modules', p))
      .join(';'),
    DDSAS_CUDA_ARCHITECTURES: process.env.DDSAS_CUDA_ARCHITECTURES ?? '-arch=native',
  }
  const defined = Object.entries(settings).filter(([, value]) => value !== undefined && value !== '')
  const options = { stdio: 'inherit' }
  const flags = defined.map(([name, value]) => `-D${name}=${value}`)
  execFileSync('cmake', ['-S', join(root, 'native'), '-B', folder, ...flags], options)
  execFileSync('cmake', ['--build', folder, `-j${availableParallelism()}`], options)
  mkdirSync(join(root, 'build/Release'), { recursive: true })
  copyFileSync(join(folder, 'ddsas.node'), join(root, 'build/Release/ddsas.node'))
}

main()
