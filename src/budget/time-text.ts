/** Amounts of time as text: "1h30m" as seconds, and seconds as text that can be given back. */

const hour = 3600

/** Seconds of "2h", "90m", "1h30m", "45s" or "1.5h"; undefined for anything else, and for none. */
export function parseTime(text: string): number | undefined {
  const pattern =
    /^\s*(?:(\d+(?:\.\d+)?)d)?\s*(?:(\d+(?:\.\d+)?)h)?\s*(?:(\d+(?:\.\d+)?)m)?\s*(?:(\d+(?:\.\d+)?)s)?\s*$/i
  const [, days = 0, hours = 0, minutes = 0, seconds = 0] = pattern.exec(text) ?? []
  const all = 24 * hour * Number(days) + hour * Number(hours) + 60 * Number(minutes) + Number(seconds)
  return all > 0 && Number.isSafeInteger(Math.ceil(all)) ? all : undefined
}

/** "1h52m", "12m", "45s": no less than it is. */
export function formatTime(seconds: number): string {
  if (seconds <= 99) return `${Math.ceil(seconds)}s`
  const minutes = Math.ceil(seconds / 60)
  if (minutes < 100) return `${minutes}m`
  return minutes % 60 === 0 ? `${minutes / 60}h` : `${Math.floor(minutes / 60)}h${minutes % 60}m`
}
