/** Follows bytes through a forward and a backward pass without computing: what is allocated when, and when it is freed. */

/** One allocation, alive while somebody holds it. */
export interface Block {
  readonly bytes: number
  holders: number
}

/** What gradients are wanted of: the weights of operators, or those that terms are mixed by. */
export type Wanted = 'weights' | 'architecture' | 'nothing'

/** A tensor of the forward pass: its memory, and what is on its way back to it. */
export interface Value {
  readonly block: Block
  /** Whether it depends on something that a gradient is wanted of. */
  tracked: boolean
  /** The gradient that waits for the operator that made the value. */
  gradient?: Block
  /** Whether that operator computes the gradient itself, from that of its reader's result and from the value. */
  readonly defers?: boolean
  /** Whether it was left to it: the value is held until then. */
  left?: boolean
}

/** An operator of the forward pass, as much as its backward pass needs to be known. */
export interface Step {
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
  /** What it keeps for its backward pass. */
  readonly saved: readonly Value[]
  /** Kept besides: bytes that are no value, such as the choices of a pooling. */
  readonly kept?: number
  /** Bytes of its weights: their gradients stay until the optimizer has used them. */
  readonly weights?: number
  /** Whether it weighs its inputs by the architecture. */
  readonly mixes?: boolean
  /** Bytes in use while its backward pass computes. */
  readonly scratch?: number
  /** What it gives to inputs whose operators compute their gradients themselves: that of its own result, or one of its own. */
  readonly leaves?: 'upstream' | 'own'
}

export class Tape {
  #live: number
  #peak: number
  #steps: Step[] = []
  readonly #scopes: Block[][] = []
  readonly wanted: Wanted

  /** `start`: bytes that are there before; `wanted`: what the backward pass is for. */
  constructor(start: number, wanted: Wanted) {
    this.#live = start
    this.#peak = start
    this.wanted = wanted
  }

  /** The most bytes that were alive at once. */
  get peak(): number {
    return this.#peak
  }

  /** Runs `body` and gives back what was made in it, as `tidy` does, but for its results. */
  scope(body: () => readonly Value[]): readonly Value[] {
    const own: Block[] = []
    this.#scopes.push(own)
    const results = body()
    this.#scopes.pop()
    const passed = new Set(results.map(({ block }) => block))
    for (const block of own) {
      if (passed.has(block)) this.#scopes.at(-1)?.push(block)
      else this.#release(block)
    }
    return results
  }

  /** A new tensor, held by the scope. */
  value(bytes: number): Value {
    this.#add(bytes)
    const block = { bytes, holders: 1 }
    this.#scopes.at(-1)?.push(block)
    return { block, tracked: false }
  }

  /** Notes an operator for the backward pass; one that no wanted gradient passes through keeps nothing. */
  record(step: Step): void {
    const { weights = 0, mixes = false } = step
    const begins = this.wanted === 'weights' ? weights > 0 : this.wanted === 'architecture' && mixes
    if (!begins && !step.inputs.some(({ tracked }) => tracked)) return
    for (const output of step.outputs) output.tracked = true
    for (const { block } of step.saved) block.holders += 1
    this.#add(step.kept ?? 0)
    this.#steps.push(step)
  }

  /** The last operators first, as the engine of libtorch takes them. */
  backward(from: Value): void {
    this.#give(from)
    for (const step of this.#steps.reverse()) this.#stepBack(step)
    this.#steps = []
  }

  #stepBack({ inputs, outputs, saved, kept = 0, weights = 0, scratch = 0, leaves }: Step): void {
    this.#add(scratch + (this.wanted === 'weights' ? weights : 0))
    for (const input of inputs) {
      if (!input.tracked) continue
      const left = leaves !== undefined && input.defers === true
      this.#give(input, left && leaves === 'upstream' ? outputs[0].gradient : undefined)
      if (!left) continue
      input.left = true
      input.block.holders += 1
    }
    for (const output of outputs) this.#drop(output)
    this.#add(-scratch - kept)
    for (const { block } of saved) this.#release(block)
  }

  /** A gradient arrives, `known` or a new one; a second one is added to the first and goes. */
  #give(value: Value, known?: Block): void {
    const gradient = known ?? { bytes: value.block.bytes, holders: 0 }
    gradient.holders += 1
    if (known === undefined) this.#add(gradient.bytes)
    if (value.gradient !== undefined) this.#release(value.gradient)
    value.gradient = gradient
  }

  /** The operator that made the value has used its gradient. */
  #drop(value: Value): void {
    if (value.gradient !== undefined) this.#release(value.gradient)
    value.gradient = undefined
    if (value.left) this.#release(value.block)
    value.left = false
  }

  #release(block: Block): void {
    block.holders -= 1
    if (block.holders === 0) this.#add(-block.bytes)
  }

  #add(bytes: number): void {
    this.#live += bytes
    this.#peak = Math.max(this.#peak, this.#live)
  }
}
