/** Second step of the set-up: `npm ci`, when node_modules is missing or was installed from another package-lock.json. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { digest, excerpt, readStamp, run, SetupError, writeWhole } from './run.mjs'

export function packagesStep(root) {
  const lockfile = join(root, 'package-lock.json')
  const stamp = join(root, 'node_modules/.ddsas-stamp')
  // Inside another project's node_modules there is no lock file, and npm has installed our packages already.
  if (!existsSync(lockfile)) return { pending: () => false }
  const wanted = digest([lockfile], { name: 'packages' })
  return {
    pending: () => readStamp(stamp) !== wanted,
    run: async (say) => {
      if (!isInstalled(root)) await install(root, say)
      writeWhole(stamp, wanted)
    },
  }
}

/**
 * Whether npm itself installed exactly what the lock file lists: npm keeps a record beside the packages. Packages for
 * other systems are optional in the lock file and absent from the record.
 */
export function isInstalled(root) {
  const record = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(record)) return false
  const { packages: installed } = JSON.parse(readFileSync(record, 'utf8'))
  const { packages: wanted } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  return Object.entries(wanted).every(
    ([path, entry]) =>
      path === '' || (entry.optional && !installed[path]) || installed[path]?.version === entry.version,
  )
}

async function install(root, say) {
  say('installing npm packages')
  const { code, output } = await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: root })
  if (code === 127) throw new SetupError('npm is missing; install it beside Node', 2)
  if (code !== 0)
    throw new SetupError(`npm ci failed; check the network and run it by hand\n${excerpt(output, 20)}`, 1)
}
