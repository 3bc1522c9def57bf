/** Modules of PyTorch as data: what they consist of, and what is the same for all that share a class. */
import { oneLine, quoted } from './python-text.ts'
import type { Forward } from './pytorch-forward.ts'
import type { Size, TorchModule } from './pytorch-layers.ts'

/** What a class may be called after; the first ranks are better. */
export interface Wanted {
  readonly text: string
  readonly rank: number
}

/** Modules by their names. */
export type Children = readonly (readonly [name: string, module: Module])[]

export interface Container {
  readonly kind: 'container'
  readonly name: 'Sequential' | 'ModuleList' | 'ModuleDict'
  readonly children: Children
}

/** A module with a class of its own in the file. */
export interface OwnModule {
  readonly kind: 'own'
  /** Those that are equal here are instances of one class. */
  readonly key: string
  readonly children: Children
  /** Absent for a Sequential. */
  readonly forward?: Forward
  readonly wanted?: readonly Wanted[]
}

export type Module = ((TorchModule | Container) & { readonly wanted?: readonly Wanted[] }) | OwnModule

/** What is the same for all uses of a class: everything but the sizes. */
export function formOf(module: Module): string {
  switch (module.kind) {
    case 'torch': {
      const args = module.arguments.map((arg) => (typeof arg === 'string' ? arg : (arg.keyword ?? '_')))
      return `${module.name}(${args.join()})`
    }
    case 'container':
      return `${module.name}(${childForms(module.children)})`
    case 'own':
      return module.key
  }
}

function childForms(children: Children): string {
  return children.map(([name, child]) => `${quoted(name)}: ${formOf(child)}`).join()
}

/** The sizes of a module and of all inside it, in their order. */
export function sizesOf(module: Module): Size[] {
  if (module.kind !== 'torch') return module.children.flatMap(([, child]) => sizesOf(child))
  return module.arguments.flatMap((arg) => (typeof arg === 'string' ? [] : [arg.size]))
}

function forwardText({ parameters, statements }: Forward): string {
  const lines = statements.map((line) =>
    'loop' in line ? line.loop + line.body : line.left + oneLine(line.code),
  )
  return [parameters.join(), ...lines].join('\n')
}

/** A module that calls others. */
export function ownModule(children: Children, forward: Forward): OwnModule {
  return { kind: 'own', key: `Module(${childForms(children)}) ${forwardText(forward)}`, children, forward }
}

/** A Sequential with a class of its own, where it is written more than once. */
export function ownSequential(children: Children): OwnModule {
  return { kind: 'own', key: `Sequential(${childForms(children)})`, children }
}

/** A module of several blocks: what stands at one place of them may differ in more than sizes. */
export function ownBlock(kind: string, children: Children, forward: Forward): OwnModule {
  const key = `${kind}(${placesIn(children)}) ${forwardText(forward)}`
  return { kind: 'own', key, children, forward }
}

function placesIn(children: Children): string {
  return children
    .map(([name, child]) => quoted(name) + (isList(child) ? placesIn(child.children) : ''))
    .join()
}

/** Whether a module does nothing but hold others. */
export function isList(module: Module): module is Container {
  return module.kind === 'container' && module.name !== 'Sequential'
}

/** A module at its place in a class, and what the place may be called there. */
export interface Place {
  readonly name: string
  readonly module: Module
}

/** The modules of a class, also those in lists. */
export function placesOf(children: Children, prefix = ''): Place[] {
  return children.flatMap(([name, module]) =>
    isList(module) ? placesOf(module.children, prefix + name) : [{ name: prefix + name, module }],
  )
}
