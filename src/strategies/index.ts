/** The registry of strategies: the one file that knows them all. */
import { checkText } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { darts } from './darts.ts'
import { ddsas } from './ddsas/ddsas.ts'
import { drnas } from './drnas/drnas.ts'
import { enas } from './enas/enas.ts'
import { gdas } from './gdas.ts'
import { pDarts } from './p-darts/p-darts.ts'
import { pcDarts } from './pc-darts.ts'
import { random } from './random.ts'
import { rsps } from './rsps.ts'
import { setn } from './setn.ts'
import { sgas } from './sgas/sgas.ts'
import { snas } from './snas.ts'
import type { StrategyDefinition } from './strategy.ts'

export const strategies = {
  ddsas,
  darts,
  gdas,
  random,
  rsps,
  setn,
  enas,
  snas,
  drnas,
  sgas,
  'pc-darts': pcDarts,
  'p-darts': pDarts,
} as const

type SettingsOf<Definition> = Definition extends StrategyDefinition<infer Settings> ? Settings : never

/** The settings of all strategies, of which a configuration has those of its own. */
export type StrategySettings = Partial<
  SettingsOf<typeof ddsas> &
    SettingsOf<typeof darts> &
    SettingsOf<typeof gdas> &
    SettingsOf<typeof random> &
    SettingsOf<typeof rsps> &
    SettingsOf<typeof setn> &
    SettingsOf<typeof enas> &
    SettingsOf<typeof snas> &
    SettingsOf<typeof drnas> &
    SettingsOf<typeof sgas> &
    SettingsOf<typeof pcDarts> &
    SettingsOf<typeof pDarts>
>

/** A strategy whose settings nobody but itself looks at. */
export type AnyStrategy = StrategyDefinition<object>

/** Throws DdsasError 'input' listing the known strategies. */
export function findStrategy(name: string): AnyStrategy {
  checkText(name, 'findStrategy', 'name')
  const known: Readonly<Record<string, AnyStrategy>> = strategies
  if (Object.hasOwn(known, name)) return known[name]
  throw new DdsasError('input', `there is no strategy '${name}'; known are ${Object.keys(known).join(', ')}`)
}
