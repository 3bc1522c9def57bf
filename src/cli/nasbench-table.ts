/** The table that the commands `ddsas nasbench` ask. */
import { Option } from 'commander'
import { type BenchmarkTable, benchmarkOf, openTable } from '../benchmarks/index.ts'

export interface TableOptions {
  readonly table: string
  readonly json?: boolean
}

/** `--table`. */
export function tableOption(): Option {
  return new Option('--table <file>', 'the table, made by nasbench import').makeOptionMandatory()
}

/** The table that a command is asked for. */
export function openNasbench({ table }: TableOptions): BenchmarkTable {
  const opened = openTable(table)
  benchmarkOf(opened)
  return opened
}
