/** Last step of the set-up: compiles src to dist with TypeScript when a source changed. */
import { existsSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { digest, excerpt, filesBelow, readStamp, run, SetupError, writeWhole } from './run.mjs'

export function distStep(root) {
  const src = join(root, 'src')
  // An installed package ships dist without src.
  if (!existsSync(src)) return { pending: () => false }
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'].map((name) =>
    join(root, name),
  )
  const stamp = join(root, 'build/dist.stamp')
  const wanted = digest([...filesBelow(src), ...settings].filter((file) => existsSync(file)))
  return {
    pending: () => readStamp(stamp) !== wanted || !existsSync(join(root, 'dist/cli/main.js')),
    run: async (say) => {
      say('compiling TypeScript')
      await compile(root)
      prune(root)
      writeWhole(stamp, wanted)
    },
  }
}

/** A source with a type error leaves the last good dist as it is. */
async function compile(root) {
  const compiler = createRequire(join(root, 'package.json')).resolve('typescript/package.json')
  const tsc = join(dirname(compiler), 'bin/tsc')
  const { code, output } = await run(
    process.execPath,
    [tsc, '-p', 'tsconfig.build.json', '--noEmitOnError'],
    { cwd: root },
  )
  if (code !== 0) throw new SetupError(`TypeScript did not compile; mend the sources\n${excerpt(output)}`, 1)
}

/** Removes what an earlier source or compiler left in dist: no deleted module is imported by mistake, or packed. */
function prune(root) {
  const dist = join(root, 'dist')
  for (const file of filesBelow(dist)) {
    const stem = /^(.*?)(\.d\.ts|\.js)$/.exec(relative(dist, file))?.[1]
    if (!stem || !existsSync(join(root, 'src', `${stem}.ts`))) rmSync(file)
  }
}
