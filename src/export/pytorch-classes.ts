/**
 * The classes of a Python file, found by anti-unification: modules of one form share a class, and the sizes in which they
 * differ are arguments of its constructor. Sizes that always vary together share one. Where modules differ in more than
 * sizes at a place of a block, the module is the argument.
 */

import { after, type Code, className, Names, quoted, variableName } from './python-text.ts'
import { type Column, sizeArguments } from './pytorch-arguments.ts'
import type { ClassText } from './pytorch-class-text.ts'
import type { Size } from './pytorch-layers.ts'
import {
  type Children,
  formOf,
  isList,
  type Module,
  type OwnModule,
  placesOf,
  sizesOf,
} from './pytorch-modules.ts'

/** What is written for a module at a place: an argument, or a constructor with an expression for each size. */
type Written = string | readonly string[]

/** An argument of a constructor: the size at a position of the module at a place, or that module. */
interface Parameter {
  readonly name: string
  readonly place: number
  readonly size?: { readonly position: number; readonly role: Size['role'] }
}

/** A class as it is written. */
interface Definition {
  readonly name: string
  readonly parameters: readonly Parameter[]
}

/** Ranks of names below this are those of operations. */
export const roleRank = 2

interface Group {
  readonly uses: OwnModule[]
  /** Where instances are written. */
  readonly sites: Set<string>
}

export class Classes {
  readonly #groups = new Map<string, Group>()
  readonly #alike = new Map<string, readonly boolean[]>()
  /** What is meant by each name that a class may have. */
  readonly #meanings = new Map<string, Set<string>>()
  readonly #names = new Map<string, string>()
  readonly #definitions = new Map<string, Definition>()
  /** In an order in which each uses those before it. */
  readonly texts: ClassText[] = []

  /** All modules of a network, with where each is written; names that no class may have. */
  constructor(modules: readonly Module[], taken: readonly string[]) {
    this.#collect(modules)
    this.#nameClasses(new Names(taken))
  }

  /** From the outside in: whether modules at a place of a class are alike is known once all its uses are. */
  #collect(modules: readonly Module[]): void {
    let written = modules.map((module, index) => ({ module, site: `network ${index}` }))
    while (written.length > 0) {
      for (const { module, site } of written) this.#note(module, site)
      written = written.flatMap(({ module, site }) =>
        this.#inside(module).map((inner, place) => {
          const once = module.kind === 'own' && this.#areAlike(module)[place]
          return { module: inner, site: `${once ? module.key : site} ${place}` }
        }),
      )
    }
  }

  #note(module: Module, site: string): void {
    for (const { text } of module.wanted ?? [])
      this.#meanings.set(text, (this.#meanings.get(text) ?? new Set()).add(formOf(module)))
    if (module.kind !== 'own') return
    const group = this.#groups.get(module.key) ?? { uses: [], sites: new Set() }
    this.#groups.set(module.key, group)
    group.uses.push(module)
    group.sites.add(site)
  }

  #inside(module: Module): readonly Module[] {
    if (module.kind === 'torch') return []
    return module.kind === 'own'
      ? placesOf(module.children).map((place) => place.module)
      : module.children.map(([, child]) => child)
  }

  #group({ key }: OwnModule): Group {
    const found = this.#groups.get(key)
    if (found === undefined) throw new Error(`no class of ${key}`)
    return found
  }

  /** Whether the modules at each place of a class differ in sizes alone. */
  #areAlike(module: OwnModule): readonly boolean[] {
    const known = this.#alike.get(module.key)
    if (known) return known
    const forms = this.#group(module).uses.map(({ children }) =>
      placesOf(children).map((place) => formOf(place.module)),
    )
    const alike = forms[0].map((form, place) => forms.every((other) => other[place] === form))
    this.#alike.set(module.key, alike)
    return alike
  }

  /** A Sequential that is written once needs no class. */
  #isInline(module: OwnModule): boolean {
    return module.forward === undefined && this.#group(module).sites.size === 1
  }

  /** The best name first: one that means nothing else. */
  #nameClasses(names: Names): void {
    const wanted = [...this.#groups].flatMap(([key, { uses }]) => {
      if (this.#isInline(uses[0])) return []
      const choices = uses.flatMap((use) => use.wanted ?? []).filter(({ text }) => className(text) !== '')
      const worth = ({ text, rank }: (typeof choices)[number]) =>
        rank + ((this.#meanings.get(text)?.size ?? 0) > 1 ? 0.5 : 0)
      const best = choices.toSorted((a, b) => worth(a) - worth(b)).at(0)
      return [{ key, text: best?.text ?? 'layers', rank: best?.rank ?? Number.POSITIVE_INFINITY }]
    })
    for (const { key, text } of wanted.toSorted((a, b) => a.rank - b.rank))
      this.#names.set(key, names.unused(className(text)))
  }

  #define(module: OwnModule): Definition {
    const known = this.#definitions.get(module.key)
    if (known) return known
    const alike = this.#areAlike(module)
    const uses = this.#group(module).uses.map(({ children }) => placesOf(children))
    const names = new Names(['self', 'torch', 'nn'])
    const modules = uses[0].flatMap(({ name }, place): Parameter[] =>
      alike[place] ? [] : [{ name: names.unused(variableName(name, 'module')), place }],
    )
    const columns = uses[0].flatMap(({ module: inner }, place) => {
      if (!alike[place]) {
        // classes that are arguments stand before the one that takes them
        for (const use of uses) this.#written(use[place].module)
        return []
      }
      const written = this.#written(inner)
      const sizes = uses.map((use) => sizesOf(use[place].module))
      return sizes[0].map(({ role }, position): Column => {
        const values = sizes.map((use) => use[position].value)
        return { place, position, role, values, written: written[position] }
      })
    })
    const { parameters, expression } = sizeArguments(columns, names)
    const definition = {
      name: this.#names.get(module.key) ?? '',
      parameters: [
        ...modules,
        ...parameters.map(([name, { place, position, role }]) => ({ name, place, size: { position, role } })),
      ],
    }
    this.#definitions.set(module.key, definition)
    const places = alike.map(
      (same, place): Written =>
        same
          ? columns.filter((column) => column.place === place).map(expression)
          : (modules.find((parameter) => parameter.place === place)?.name ?? ''),
    )
    this.texts.push({
      name: definition.name,
      base: module.forward ? 'nn.Module' : 'nn.Sequential',
      ...this.#docstring(module),
      parameters: definition.parameters.map(({ name }) => name),
      modules: this.attributes(module.children, places),
      ...(module.forward ? { forward: module.forward } : {}),
    })
    return definition
  }

  /** The operations that a class stands for, where its name does not say them. */
  #docstring(module: OwnModule): { readonly docstring?: string } {
    const all = this.#group(module).uses.flatMap((use) => use.wanted ?? [])
    const operations = [...new Set(all.flatMap(({ text, rank }) => (rank < roleRank ? [text] : [])))]
    return operations.length > 1 ? { docstring: `${operations.join(', ')}.` } : {}
  }

  /** Which sizes of a module are written where it is made; the others stand in its class. */
  #written(module: Module): boolean[] {
    if (module.kind === 'torch') return sizesOf(module).map(() => true)
    if (module.kind === 'container' || this.#isInline(module))
      return module.children.flatMap(([, child]) => this.#written(child))
    const { parameters } = this.#define(module)
    return placesOf(module.children).flatMap((inner, place) => {
      const own = parameters.filter((parameter) => parameter.place === place)
      if (own.some(({ size }) => size === undefined)) return this.#written(inner.module)
      return sizesOf(inner.module).map((_, position) => own.some(({ size }) => size?.position === position))
    })
  }

  /** The modules of a class, each as it is written. */
  attributes(children: Children, written: readonly Written[]): (readonly [name: string, code: Code])[] {
    let rest = written
    return children.map(([name, child]) => {
      if (!isList(child)) {
        const [first] = rest
        rest = rest.slice(1)
        return [name, typeof first === 'string' ? first : this.#code(child, first)]
      }
      const count = placesOf(child.children).length
      const inner = this.attributes(child.children, rest.slice(0, count))
      rest = rest.slice(count)
      if (child.name === 'ModuleList')
        return [
          name,
          { open: 'nn.ModuleList([', items: inner.map(([, code]) => code), close: '])', long: true },
        ]
      const items = inner.map(([key, code]) => after(`${quoted(key)}: `, code))
      return [name, { open: 'nn.ModuleDict({', items, close: '})', long: true }]
    })
  }

  /** The expression that makes a module, with an expression for each of its sizes. */
  #code(module: Module, sizes: readonly string[]): Code {
    switch (module.kind) {
      case 'torch': {
        let at = 0
        const items = module.arguments.flatMap((argument) => {
          if (typeof argument === 'string') return [argument]
          const text = sizes[at++]
          if (argument.optional && text === '1') return []
          return [argument.keyword ? `${argument.keyword}=${text}` : text]
        })
        return { open: `${module.name}(`, items, close: ')' }
      }
      case 'container':
        return this.#sequential(module.children, sizes)
      case 'own':
        return this.#isInline(module)
          ? this.#sequential(module.children, sizes)
          : this.#instance(module, sizes)
    }
  }

  #sequential(children: Children, sizes: readonly string[]): Code {
    const items = parted(children, sizes).map((own, index) => this.#code(children[index][1], own))
    return { open: 'nn.Sequential(', items, close: ')', long: items.length > 1 }
  }

  #instance(module: OwnModule, sizes: readonly string[]): Code {
    const { name, parameters } = this.#define(module)
    const places = placesOf(module.children)
    const own = parted(
      places.map((place): Children[number] => [place.name, place.module]),
      sizes,
    )
    const items = parameters.map(({ name: parameter, place, size }) => {
      if (size === undefined) return this.#code(places[place].module, own[place])
      const text = own[place][size.position]
      return size.role === 'stride' ? `${parameter}=${text}` : text
    })
    return { open: `${name}(`, items, close: ')' }
  }
}

/** What belongs to the sizes of each module. */
function parted(children: Children, sizes: readonly string[]): (readonly string[])[] {
  let rest = sizes
  return children.map(([, child]) => {
    const count = sizesOf(child).length
    const own = rest.slice(0, count)
    rest = rest.slice(count)
    return own
  })
}
