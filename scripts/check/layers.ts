/** The layer table: which folder may import which, and that one file alone loads the addon. */
import type { Import } from './imports.ts'
import { isScript, lineAt, type Source, type Violation } from './sources.ts'

/** Files whose path starts with `files` may import those whose path starts with one of `may`. */
interface Row {
  readonly files: string
  readonly may: readonly string[]
}

/** What every strategy may use. */
const strategyParts = [
  'src/strategies/strategy.ts',
  'src/strategies/shared/',
  'src/spaces/',
  'src/nn/',
  'src/torch/',
]

/** The first row that fits a file holds, so a row for some files of a folder stands before the folder's. */
const table: readonly Row[] = [
  { files: 'src/errors.ts', may: [] },
  { files: 'src/words.ts', may: [] },
  { files: 'src/checks.ts', may: [] },
  { files: 'src/index.ts', may: ['src/'] },
  { files: 'src/formats/', may: ['src/formats/'] },
  { files: 'src/torch/', may: ['src/torch/'] },
  { files: 'src/nn/', may: ['src/nn/', 'src/torch/'] },
  { files: 'src/data/', may: ['src/data/', 'src/torch/', 'src/runs/files.ts'] },
  { files: 'src/spaces/darts/genotype', may: ['src/spaces/darts/genotype'] },
  { files: 'src/spaces/', may: ['src/spaces/', 'src/nn/', 'src/torch/'] },
  // The list of strategies is the one file that knows them all; no other strategy imports another.
  {
    files: 'src/strategies/index.ts',
    may: ['src/strategies/', 'src/spaces/', 'src/nn/', 'src/torch/'],
  },
  ...['ddsas', 'drnas', 'enas', 'p-darts', 'sgas'].map((name) => ({
    files: `src/strategies/${name}/`,
    may: [`src/strategies/${name}/`, ...strategyParts],
  })),
  { files: 'src/strategies/', may: strategyParts },
  { files: 'src/distributed/', may: ['src/distributed/', 'src/torch/'] },
  {
    files: 'src/loop/',
    may: ['src/loop/', 'src/distributed/', 'src/runs/', 'src/data/', 'src/nn/', 'src/torch/'],
  },
  {
    files: 'src/search/',
    may: [
      'src/search/',
      'src/loop/',
      'src/distributed/',
      'src/budget/',
      'src/strategies/',
      'src/spaces/',
      'src/data/',
      'src/nn/',
      'src/torch/',
      'src/runs/',
    ],
  },
  {
    files: 'src/retrain/',
    may: [
      'src/retrain/',
      'src/loop/',
      'src/distributed/',
      'src/budget/',
      'src/spaces/',
      'src/data/',
      'src/nn/',
      'src/torch/',
      'src/runs/',
    ],
  },
  {
    files: 'src/budget/',
    may: ['src/budget/', 'src/spaces/', 'src/nn/', 'src/torch/', 'src/loop/', 'src/runs/files.ts'],
  },
  {
    files: 'src/latency/',
    may: [
      'src/latency/',
      'src/budget/',
      'src/export/',
      'src/spaces/',
      'src/nn/',
      'src/torch/',
      'src/runs/files.ts',
    ],
  },
  { files: 'src/runs/', may: ['src/runs/', 'src/formats/crc32c.ts'] },
  {
    files: 'src/benchmarks/',
    may: ['src/benchmarks/', 'src/formats/', 'src/spaces/', 'src/runs/files.ts', 'src/torch/random.ts'],
  },
  {
    files: 'src/export/',
    may: ['src/export/', 'src/formats/', 'src/spaces/', 'src/nn/', 'src/torch/'],
  },
  { files: 'src/cli/', may: ['src/', 'experiments/'] },
  { files: 'dashboard/', may: ['dashboard/', 'src/runs/', 'src/spaces/'] },
  { files: 'experiments/', may: ['experiments/', 'src/'] },
  // What a user could write: the public API alone.
  { files: 'examples/', may: ['examples/'] },
  { files: 'bench/', may: ['bench/', 'experiments/', 'src/'] },
  // Figures in texts come from results of the benchmarks; no other script needs them.
  { files: 'scripts/figures', may: ['scripts/', 'bench/'] },
  { files: 'scripts/check/figures.ts', may: ['scripts/', 'bench/figures/'] },
  { files: 'scripts/check.ts', may: ['scripts/', 'bench/figures/'] },
  { files: 'scripts/', may: ['scripts/'] },
  { files: 'bin/', may: ['dist/', 'scripts/setup.mjs'] },
  {
    files: 'test/',
    may: ['test/', 'src/', 'dist/', 'bench/', 'scripts/', 'experiments/', 'examples/', 'dashboard/', 'bin/'],
  },
]

const forAll = ['src/errors.ts', 'src/words.ts', 'src/checks.ts', 'package.json']
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
