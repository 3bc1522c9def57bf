/** What may be asked of a search: which preset, space and strategy, with which settings; and the configuration that this means. */
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import { type RunKind, requestedConfig } from '../loop/record.ts'
import { type CommonRequest, commonRequest } from '../loop/request.ts'
import { checkFits } from '../spaces/describe.ts'
import { seenChannels } from '../spaces/partial-channels.ts'
import type { SearchSpace } from '../spaces/space.ts'
import type { AnyStrategy } from '../strategies/index.ts'
import {
  checkStrategy,
  type OwnParts,
  partsOf,
  type SearchConfig,
  type SearchParts,
  searchConfigSchema,
  withParts,
} from './config.ts'
import { checkImageSettings } from './images.ts'
import { limitsOf } from './limits.ts'
import { withMemory } from './memory-request.ts'
import { searchPreset, searchPresets } from './presets.ts'
import type { Judgement } from './report.ts'
import { stagesOf } from './stages.ts'

/** What a user asks for: a preset with changes, or a run to go on with. */
export interface SearchRequest extends CommonRequest {
  /** Required for a new search. */
  readonly preset?: string | undefined
  /** What is searched: a name, or a space of one's own; as the preset says unless given. */
  readonly space?: string | SearchSpace | undefined
  /** How: a name, or a strategy of one's own; as the preset says unless given. A run with its own parts needs them again. */
  readonly strategy?: string | AnyStrategy | undefined
  /**
   * Bytes that the process may take, on a GPU the tensors alone: sets `memory.limit`, and subspaces that are filled up to it
   * where the strategy can. Of a run that is resumed the limit alone.
   */
  readonly memory?: number | undefined
  /** Seconds that a new search may take: as many epochs as fit. */
  readonly time?: number | undefined
  /** A benchmark of the space: each epoch is reported with what it has recorded. */
  readonly benchmark?: Benchmark | undefined
}

/** What architectures of a space have come to. */
export interface Benchmark {
  /** Its name, or those of all spaces whose architectures it has. */
  readonly space: string | readonly string[]
  /** Undefined for what is not recorded. */
  recorded(architecture: unknown): Judgement | undefined
}

const ownPart = z.union([z.string(), z.looseObject({ name: z.string() })], {
  error: 'expected a name, or an object with a name',
})
const benchmark = z.looseObject({ space: z.union([z.string(), z.array(z.string())]), recorded: z.function() })

/** The keys of `SearchRequest`. */
export const searchRequest = {
  ...commonRequest,
  space: ownPart.optional(),
  strategy: ownPart.optional(),
  memory: z.int().positive().optional(),
  time: z.number().positive().optional(),
  benchmark: benchmark.optional(),
}

/** Searches with what is known, and with parts of one's own. */
export function searchKindWith(own: OwnParts): RunKind<SearchConfig> {
  return { kind: 'search', name: 'search', schema: searchConfigSchema(own), preset: searchPreset }
}

export const searchKind = searchKindWith({})

/** The parts of a request that are one's own. */
export function ownPartsOf({ space, strategy }: Pick<SearchRequest, 'space' | 'strategy'>): OwnParts {
  return {
    ...(typeof space === 'object' ? { space } : {}),
    ...(typeof strategy === 'object' ? { strategy } : {}),
  }
}

function nameOf(part: string | { readonly name: string } | undefined): string | undefined {
  return typeof part === 'object' ? part.name : part
}

/** The names that a request gives its parts, or else a configuration. */
export function partNames(
  request: Pick<SearchRequest, 'space' | 'strategy'>,
  config: SearchConfig,
): Pick<SearchConfig, 'space' | 'strategy'> {
  return {
    space: nameOf(request.space) ?? config.space,
    strategy: nameOf(request.strategy) ?? config.strategy,
  }
}

/** The preset, settings and parts of a new search. Throws DdsasError 'input' for what cannot be. */
export function requestedSearch(request: SearchRequest): {
  readonly preset: string
  readonly config: SearchConfig
  readonly parts: SearchParts
} {
  const { preset } = request
  if (preset === undefined)
    throw new DdsasError(
      'input',
      `name what to search, ${Object.keys(searchPresets).join(', ')}, or a run with --resume`,
    )
  const own = ownPartsOf(request)
  const base = searchPreset(preset)
  const named = withParts(base, partsOf(partNames(request, base), own))
  const asked = requestedConfig(searchKindWith(own), named, request)
  const parts = partsOf(asked, own)
  const config = withMemory(asked, parts, request)
  checkStrategy(config, parts)
  limitsOf(config, parts.space)
  checkImageSettings(config)
  for (const { size } of stagesOf(config, parts)) {
    seenChannels(size.channels, size.partialChannels ?? 1)
    // how many classes there are changes no size
    checkFits(parts.space.supernet({ ...size, classes: 10 }), config.data.imageSize)
  }
  return { preset, config, parts }
}

/** Throws DdsasError 'input' where a benchmark is of another space than a search. */
export function checkBenchmark({ benchmark }: SearchRequest, { space }: SearchConfig): void {
  if (benchmark === undefined) return
  const known = [benchmark.space].flat()
  if (known.includes(space)) return
  throw new DdsasError(
    'input',
    `the table is of the space '${known.join("', '")}', the search of '${space}'; leave it out, or search that space`,
  )
}
