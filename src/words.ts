/** Words that messages everywhere share. */

/** "1 cell", "20 cells". */
export function counted(count: number, singular: string, plural = `${singular}s`): string {
  return `${count} ${count === 1 ? singular : plural}`
}

/** A command as a user types it, in a clone and where ddsas is a dependency: "npx ddsas search --resume runs/first". */
export function commandLine(words: string): string {
  return `npx ddsas ${words}`
}
