/** The layer table: which folder may import which, and that one file alone loads the addon. */
import type { Import } from './imports.ts'
import { isScript, lineAt, type Source, type Violation } from './sources.ts'

/** Files whose path starts with `files` may import those whose path starts with one of `may`. */
interface Row {
  readonly files: string
  readonly may: readonly string[]
}

/** The first row that fits a file holds, so a row for some files of a folder stands before the folder's. */
const table: readonly Row[] = [
  { files: 'src/errors.ts', may: [] },
  { files: 'src/index.ts', may: ['src/'] },
  { files: 'src/torch/', may: ['src/torch/'] },
  { files: 'src/nn/', may: ['src/nn/', 'src/torch/'] },
  { files: 'src/data/', may: ['src/data/', 'src/torch/'] },
  { files: 'src/search/', may: ['src/search/'] },
  { files: 'src/spaces/genotype', may: ['src/spaces/genotype'] },
  { files: 'src/spaces/', may: ['src/spaces/', 'src/nn/', 'src/torch/'] },
  // The list of strategies is the one file that knows them all.
  {
    files: 'src/strategies/index.ts',
    may: ['src/strategies/', 'src/search/', 'src/spaces/', 'src/nn/', 'src/torch/'],
  },
  {
    files: 'src/strategies/',
    may: ['src/strategies/strategy.ts', 'src/search/', 'src/spaces/', 'src/nn/', 'src/torch/'],
  },
  {
    files: 'src/train/',
    may: [
      'src/train/',
      'src/strategies/',
      'src/search/',
      'src/spaces/',
      'src/nn/',
      'src/data/',
      'src/torch/',
      'src/runs/',
    ],
  },
  { files: 'src/runs/', may: ['src/runs/'] },
  { files: 'src/nasbench/', may: ['src/nasbench/', 'src/spaces/genotype'] },
  { files: 'src/export/', may: ['src/export/', 'src/spaces/', 'src/nn/', 'src/torch/'] },
  { files: 'src/cli/', may: ['src/', 'experiments/'] },
  { files: 'dashboard/', may: ['dashboard/', 'src/runs/', 'src/spaces/genotype'] },
  { files: 'experiments/', may: ['experiments/', 'src/'] },
  { files: 'bench/', may: ['bench/', 'experiments/', 'src/'] },
  { files: 'scripts/', may: ['scripts/'] },
  { files: 'bin/', may: ['dist/', 'scripts/setup.mjs'] },
  {
    files: 'test/',
    may: ['test/', 'src/', 'bench/', 'scripts/', 'experiments/', 'dashboard/', 'bin/', 'dist/'],
  },
]

const forAll = ['src/errors.ts', 'package.json']
const addonLoader = 'src/torch/native.ts'

/** Imports that the table does not allow, folders it does not know, and files that load the addon. */
export function layerViolations(imports: readonly Import[], sources: readonly Source[]): Violation[] {
  return [...sources.flatMap(unknownFolder), ...imports.flatMap(forbidden), ...sources.flatMap(loadsAddon)]
}

function rowOf(path: string): Row | undefined {
  return table.find(({ files }) => path.startsWith(files))
}

function unknownFolder(source: Source): Violation[] {
  if (!isScript(source) || rowOf(source.path)) return []
  return [
    { path: source.path, line: 1, message: 'is in no row of the layer table (scripts/check/layers.ts)' },
  ]
}

function forbidden({ from, to, line }: Import): Violation[] {
  const row = rowOf(from)
  if (!row || forAll.includes(to) || row.may.some((prefix) => to.startsWith(prefix))) return []
  return [
    { path: from, line, message: `imports ${to}, which ${row.files} may not (scripts/check/layers.ts)` },
  ]
}

function loadsAddon({ path, text }: Source): Violation[] {
  if (!path.startsWith('src/') || path === addonLoader) return []
  const found = /ddsas\.node|process\.dlopen/.exec(text)
  if (!found) return []
  return [{ path, line: lineAt(text, found.index), message: `names the addon; only ${addonLoader} loads it` }]
}
