/** The lines of a `forward`: steps applied to variables, each expression as long as one reads at a glance. */
import { type Code, isName, Names, oneLine } from './python-text.ts'

/** What happens to a value. Branches and scales are computed from it by steps of their own. */
export type Step =
  /** A call of the module at a path below the owner, such as `_ops.3`. */
  | { readonly kind: 'module'; readonly path: string }
  | { readonly kind: 'call'; readonly call: (x: string) => string }
  | { readonly kind: 'concat'; readonly branches: readonly (readonly Step[])[] }
  /** `vector`: the scales are [n, c] instead of [n, c, 1, 1]. */
  | { readonly kind: 'gate'; readonly scale: readonly Step[]; readonly vector: boolean }

/** `left` stands before the code: `x = `, `return `. */
export interface Statement {
  readonly left: string
  readonly code: Code
}

/** A loop over modules, with its one line. */
export interface Loop {
  readonly loop: string
  readonly body: string
}

export interface Forward {
  readonly parameters: readonly string[]
  readonly statements: readonly (Statement | Loop)[]
}

/** Columns of an expression that is still easy to read, by itself and inside another one. */
const most = { alone: 72, inside: 60 } as const

/** What no variable may be called. */
const globals = ['self', 'torch', 'nn']

export function concatenation(parts: readonly Code[]): Code {
  return { open: 'torch.cat([', items: parts, close: '], 1)' }
}

export class ForwardWriter {
  readonly statements: (Statement | Loop)[] = []
  readonly #names: Names
  readonly #access: (path: string) => string

  /** `access`: the expression of the module at a path; `taken`: parameters, and other names of variables. */
  constructor(access: (path: string) => string, taken: readonly string[]) {
    this.#access = access
    this.#names = new Names([...globals, ...taken])
  }

  /** A name that no variable has. */
  unused(wanted: string): string {
    return this.#names.unused(wanted)
  }

  /** A name that no variable has, from where it is needed on. */
  temporary(wanted: string): () => string {
    let name: string | undefined
    return () => {
      name ??= this.unused(wanted)
      return name
    }
  }

  assign(name: string, code: Code): void {
    if (code !== name) this.statements.push({ left: `${name} = `, code })
  }

  loop(loop: string, body: string): void {
    this.statements.push({ loop, body })
  }

  return(code: Code): void {
    this.statements.push({ left: 'return ', code })
  }

  /** What steps make of the variable `x`; where that takes several lines, they use the variable `target`. */
  through(steps: readonly Step[], x: string, target: () => string): Code {
    let code: Code = x
    let product = false
    const variable = () => {
      if (typeof code === 'string' && isName(code)) return code
      const name = target()
      this.assign(name, code)
      code = name
      return name
    }
    const called = (call: (x: string) => string) => {
      const inner = oneLine(code)
      const short = !product && inner.length <= most.inside && call(inner).length <= most.alone
      return call(short ? inner : variable())
    }
    for (const step of steps) {
      if (step.kind === 'module') code = called((x) => `${this.#access(step.path)}(${x})`)
      else if (step.kind === 'call') code = called(step.call)
      else if (step.kind === 'concat') code = this.#concat(step.branches, variable())
      else code = this.#gate(step.scale, step.vector, variable())
      product = step.kind === 'gate'
    }
    return code
  }

  #concat(branches: readonly (readonly Step[])[], x: string): Code {
    return concatenation(branches.map((branch) => this.through(branch, x, this.temporary('y'))))
  }

  #gate(steps: readonly Step[], vector: boolean, x: string): Code {
    const name = this.unused('scale')
    this.assign(
      name,
      this.through(steps, x, () => name),
    )
    return `${x} * ${name}${vector ? '[:, :, None, None]' : ''}`
  }
}
