/** Parses JSON that may not be JSON, for a schema to judge. */

/** The parsed value, or undefined where `text` is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
