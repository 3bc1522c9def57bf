/** The functions of a TypeScript or JavaScript file and their lengths. */
import ts from 'typescript6'
import { isScript, type Source } from './sources.ts'

/** A function with a name of its own; a callback's lines count as its enclosing function's. */
export interface MeasuredFunction {
  readonly path: string
  readonly line: number
  readonly name: string
  readonly lines: number
}

/** Declarations, methods, accessors, constructors, and function values given a name. */
export function functionsOf(source: Source): MeasuredFunction[] {
  if (!isScript(source)) return []
  const file = ts.createSourceFile(source.path, source.text, ts.ScriptTarget.Latest, true)
  const found: MeasuredFunction[] = []
  const visit = (node: ts.Node): void => {
    const name = nameOf(node)
    if (name !== undefined) found.push(measure(source.path, file, node, name))
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

function measure(path: string, file: ts.SourceFile, node: ts.Node, name: string): MeasuredFunction {
  const first = file.getLineAndCharacterOfPosition(node.getStart(file)).line
  const last = file.getLineAndCharacterOfPosition(node.getEnd()).line
  return { path, line: first + 1, name, lines: last - first + 1 }
}

function nameOf(node: ts.Node): string | undefined {
  if (ts.isConstructorDeclaration(node)) return node.body ? 'constructor' : undefined
  if (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) return holderName(node.parent)
  if (!ts.isFunctionDeclaration(node) && !ts.isMethodDeclaration(node) && !ts.isAccessor(node))
    return undefined
  return node.body ? (node.name?.getText() ?? 'default') : undefined
}

/** Name of the variable or property that a function value is given to. */
function holderName(parent: ts.Node): string | undefined {
  const holds =
    ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent)
  return holds ? parent.name.getText() : undefined
}
