/** Tables of benchmarks: made of what was published, opened, and asked. */
export {
  type ImportOptions,
  importable,
  importNasbench101,
  importNasbench201,
  importTable,
} from './import.ts'
export type { ImportProgress } from './import-progress.ts'
export { type Accuracies, accuraciesOf, type Judgement, judgeOf } from './judge.ts'
export { benchmarkOf, factsOf, findRow } from './known.ts'
export { nasbench101 } from './nasbench101.ts'
export {
  type ArchitectureFacts,
  accuracyColumn,
  costColumn,
  type Dataset,
  datasets,
  nasbench201,
  type Split,
  splits,
  type Training,
  trainings,
} from './nasbench201.ts'
export {
  maxSamples,
  maxSeeds,
  type RandomSearchFind,
  type RandomSearchOptions,
  type RandomSearchResult,
  randomSearch,
  type Spread,
} from './random-search.ts'
export { BenchmarkTable, type Column, type Rank, type TableContent, type TableSource } from './table.ts'
export { openTable, writeTable } from './table-file.ts'
