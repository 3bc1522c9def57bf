/** Words that messages everywhere share. */

/** "1 cell", "20 cells". */
export function counted(count: number, singular: string, plural = `${singular}s`): string {
  return `${count} ${count === 1 ? singular : plural}`
}
