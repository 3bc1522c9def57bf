/** Amounts of memory as text: "4 GiB" as bytes, and bytes as people read them. */

const units: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

/** Bytes of "4 GiB", "512MB" or "1.5 gib"; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const [, number = '', unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? []
  const name = unit.toLowerCase()
  if (number === '' || !Object.hasOwn(units, name)) return undefined
  const bytes = Math.round(Number(number) * units[name])
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** "3.1 GiB", "512 MiB". */
export function formatSize(bytes: number): string {
  const mebibytes = bytes / 2 ** 20
  if (mebibytes < 9.95) return `${mebibytes.toFixed(1)} MiB`
  return mebibytes < 1000 ? `${Math.round(mebibytes)} MiB` : `${(mebibytes / 1024).toFixed(1)} GiB`
}
