/**
 * Figures in texts: the blocks between `<!-- figures:NAME -->` and `<!-- /figures -->` are written from the results in the
 * repository. Says which differ, exit code 1; with `--write` writes them.
 */
import { resolve } from 'node:path'
import { writeTexts } from '../bench/figures/texts.ts'
import { figureTexts } from './figures/texts.ts'

function main([option, ...more]: readonly string[]): number {
  if (more.length > 0 || (option !== undefined && option !== '--write')) {
    console.error('figures: say nothing, or --write')
    return 2
  }
  const root = resolve('.')
  const texts = figureTexts(root)
  if (option === '--write') {
    for (const path of writeTexts(root, texts)) console.log(`wrote ${path}`)
    return 0
  }
  const stale = texts.filter(({ now, wanted }) => now !== wanted)
  for (const { path } of stale)
    console.log(`${path} differs from the results: node --import tsx scripts/figures.ts --write`)
  return stale.length > 0 ? 1 : 0
}

try {
  process.exitCode = main(process.argv.slice(2))
} catch (error) {
  console.error(`figures: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
