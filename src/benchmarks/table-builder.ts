/** Collects what an importer finds, in any order, into the content of a table. */
import { DdsasError } from '../errors.ts'
import type { Refuse } from '../formats/byte-reader.ts'
import { keyOf, nasbench201, nasbench201Columns } from './nasbench201.ts'
import type { TableContent, TableSource } from './table.ts'

/** Numbers of an architecture by column; NaN and what is left out: not recorded. */
export type Recorded = Readonly<Record<string, number>>

export class TableBuilder {
  readonly #refuse: Refuse
  readonly #keys = new Map<number, string>()
  readonly #indexes = new Map<string, number>()
  readonly #columns = new Map<string, Float64Array>()

  constructor(refuse: Refuse) {
    this.#refuse = refuse
  }

  /** How many architectures it has. */
  get rows(): number {
    return this.#keys.size
  }

  /**
   * Notes numbers of an architecture, more of which may follow.
   * Throws for a number that is none, a text that is none, one under two numbers, and what differs from what was noted before.
   */
  add(index: unknown, text: unknown, recorded: Recorded): void {
    const { architectures } = nasbench201
    if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= architectures)
      throw this.#refuse(`it numbers an architecture ${JSON.stringify(String(index).slice(0, 40))}`)
    if (typeof text !== 'string') throw this.#refuse(`its architecture ${index} has no text`)
    const known = this.#keys.get(index)
    // a text is checked once: each architecture comes with every training
    const key = known === text ? text : this.#keyOf(text, index)
    if ((known ?? key) !== key || (this.#indexes.get(key) ?? index) !== index)
      throw this.#refuse(`its architecture ${index} has two texts, or shares one: ${key}`)
    this.#keys.set(index, key)
    this.#indexes.set(key, index)
    for (const [name, value] of Object.entries(recorded)) this.#set(index, name, value)
  }

  #keyOf(text: string, index: number): string {
    try {
      return keyOf(text, String(index))
    } catch (error) {
      throw error instanceof DdsasError ? this.#refuse(error.message) : error
    }
  }

  #set(index: number, name: string, value: number): void {
    if (Number.isNaN(value)) return
    if (!Number.isFinite(value) || value < 0 || (nasbench201Columns.get(name) === '%' && value > 100))
      throw this.#refuse(`the value ${value} of architecture ${index} cannot be its ${name}`)
    const column = this.#columns.get(name) ?? new Float64Array(nasbench201.architectures).fill(Number.NaN)
    this.#columns.set(name, column)
    if (!Number.isNaN(column[index]) && column[index] !== value)
      throw this.#refuse(`it gives ${name} of architecture ${index} as ${column[index]} and as ${value}`)
    column[index] = value
  }

  /** The content of the table. Throws where nothing was added. */
  finish(source: TableSource): TableContent {
    if (this.rows === 0) throw this.#refuse('it holds no results of an architecture')
    const indexes = Uint32Array.from(this.#keys.keys()).sort()
    const names = [...nasbench201Columns.keys()]
    return {
      ...nasbench201,
      source,
      columns: names.flatMap((name) => {
        const all = this.#columns.get(name)
        const unit = nasbench201Columns.get(name) ?? ''
        return all === undefined ? [] : [{ name, unit, values: Float64Array.from(indexes, (at) => all[at]) }]
      }),
      absent: names.filter((name) => !this.#columns.has(name)),
      keys: Array.from(indexes, (index) => this.#keys.get(index) ?? ''),
      indexes,
    }
  }
}
