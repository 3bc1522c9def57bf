/** What of a search is set otherwise than its strategy was published with: allowed, and said. */
import { flatten } from '../loop/settings.ts'
import type { SearchConfig, SearchParts } from './config.ts'

/** One line naming each setting that differs, and how to set it as published; none where nothing differs. */
export function publishedWarnings(config: SearchConfig, { space, strategy }: SearchParts): string[] {
  const own = flatten(config)
  const differing = Object.entries(strategy.published?.(space) ?? {}).filter(
    ([key, value]) => own.get(key) !== value,
  )
  if (differing.length === 0) return []
  const found = differing.map(([key]) => `${key} ${own.get(key)}`).join(', ')
  const wanted = differing.map(([key, value]) => `--set ${key}=${value}`).join(' ')
  return [`${found}: '${strategy.name}' was published for '${space.name}' with ${wanted}`]
}
