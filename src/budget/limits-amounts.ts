/** Amounts of parameters, multiply-adds and time as text: "3.3M" and "12ms" as numbers, and numbers as people read them. */
import type { CostTable } from './cost-table.ts'

const counts: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, b: 1e9, t: 1e12 }
/** In milliseconds, which is meant where none is named. */
const times: Readonly<Record<string, number>> = { '': 1, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3 }

function parse(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, number = '', unit = ''] = /^\s*(\d{1,15}(?:\.\d{1,15})?)\s*(\p{L}*)\s*$/u.exec(text) ?? []
  const name = unit.toLowerCase()
  return number !== '' && Object.hasOwn(units, name) ? Number(number) * units[name] : undefined
}

/** "3.3M", "520 M" or "400k" as a number; undefined for anything else. */
export function parseCount(text: string): number | undefined {
  const found = parse(text, counts)
  return found === undefined ? undefined : Math.round(found)
}

/** Milliseconds of "12ms", "800 us" or "0.1s"; undefined for anything else. */
export function parseTime(text: string): number | undefined {
  return parse(text, times)
}

type Named = Pick<CostTable, 'quantity' | 'unit'>

/**
 * "3.3 M parameters", "12 ms latency"; without the quantity where `bare`. To three digits, the nearest, or `up`: what may be allowed
 * for the amount to fit.
 */
export function formatAmount(
  amount: number,
  { quantity, unit }: Named,
  round: 'near' | 'up' = 'near',
): string {
  return `${formatNumber(amount, unit, round)} ${quantity}`
}

export function formatNumber(amount: number, unit: string, round: 'near' | 'up' = 'near'): string {
  if (unit !== '') return `${digits(amount, round)} ${unit}`
  const [factor, name] =
    amount >= 1e9 ? [1e9, ' G'] : amount >= 1e6 ? [1e6, ' M'] : amount >= 1e4 ? [1e3, ' k'] : [1, '']
  return `${digits(amount / factor, round)}${name}`
}

/** Four digits, fewer where they are zeros. */
function digits(value: number, round: 'near' | 'up'): string {
  if (value === 0) return '0'
  const step = 10 ** (Math.floor(Math.log10(Math.abs(value))) - 3)
  const rounded = (round === 'up' ? Math.ceil(value / step - 1e-9) : Math.round(value / step)) * step
  return String(Number(rounded.toPrecision(5)))
}
