/** The command `ddsas setup`: installs the tools that are missing and builds the native addon, as `npm run setup` does. */
import { Command } from 'commander'

/** The set-up is plain JavaScript, as in a checkout it runs before anything is compiled. */
interface Setup {
  main(args: readonly string[]): Promise<number>
}

/** Builds `ddsas setup`; its exit code is the set-up's: 0 ready, 1 a build failed, 2 something is missing. */
export function setupCommand(): Command {
  return new Command('setup')
    .description('install what is missing and build the native addon; quick when nothing changed')
    .option('--quiet', 'say nothing where everything is ready')
    .action(async ({ quiet }: { quiet?: boolean }) => {
      const setup: Setup = await import(new URL('../../scripts/setup.mjs', import.meta.url).href)
      process.exitCode = await setup.main(quiet ? ['--quiet'] : [])
    })
}
