/** Scopes that free the tensors made in them: `tidy` is to slots what a block is to local variables. */
import { native } from './native.ts'

/** The part of a Tensor that a scope needs (the class itself imports this file). */
interface Slotted {
  slot: number
}

const scopes: Set<Slotted>[] = []

/** @internal Registers a new tensor with the innermost scope. */
export function track(tensor: Slotted): void {
  scopes.at(-1)?.add(tensor)
}

/** @internal Takes a tensor out of whatever scope holds it. */
export function untrack(tensor: Slotted): void {
  for (let i = scopes.length - 1; i >= 0; i--) if (scopes[i].delete(tensor)) return
}

function isSlotted(value: object): value is Slotted {
  return 'slot' in value && typeof value.slot === 'number'
}

/** Moves the tensors inside a result (a tensor, arrays and plain objects of them) out of `scope`. */
function release(value: unknown, scope: Set<Slotted>): void {
  if (typeof value !== 'object' || value === null) return
  if (isSlotted(value)) {
    if (scope.delete(value)) track(value)
    return
  }
  for (const item of Object.values(value)) release(item, scope)
}

function free(scope: Set<Slotted>): void {
  const slots: number[] = []
  for (const tensor of scope) {
    if (tensor.slot >= 0) slots.push(tensor.slot)
    tensor.slot = -1
  }
  if (slots.length > 0) native().free(slots)
}

/**
 * Runs `body` and frees every tensor made in it except those in its result (a tensor, or arrays and plain objects of
 * tensors), which pass to the scope around. Also frees when `body` throws.
 */
export function tidy<Result>(body: () => Result): Result {
  const scope = new Set<Slotted>()
  scopes.push(scope)
  let result: Result
  try {
    result = body()
  } catch (error) {
    scopes.pop()
    free(scope)
    throw error
  }
  scopes.pop()
  release(result, scope)
  free(scope)
  return result
}

/** Takes a tensor out of its scope: its owner disposes of it. Parameters and optimizer state are kept. */
export function keep<T extends Slotted>(tensor: T): T {
  untrack(tensor)
  return tensor
}

/** Hands a kept tensor over to the current scope. */
export function adopt<T extends Slotted>(tensor: T): T {
  track(tensor)
  return tensor
}

/** How many tensors JavaScript holds; flat over the steps of a search. */
export function liveSlots(): number {
  return native().liveSlots()
}
