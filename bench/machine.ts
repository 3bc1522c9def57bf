/** What figures were measured on, and with which code: processor, engine, instruction set, commit. */
import { spawnSync } from 'node:child_process'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { describeEngine } from '../src/torch/index.ts'
import { native } from '../src/torch/native.ts'

/** Every result has it. */
export const machineSchema = z.object({
  processor: z.string(),
  cores: z.number(),
  memoryGiB: z.number(),
  node: z.string(),
  /** As the loaded engine says: Debian's package 1.13.1 says 1.13.0. */
  libtorch: z.string(),
  /** Widest vector instructions of libtorch's operators. */
  cpuCapability: z.string(),
  /** Instruction set of our kernels. */
  kernels: z.string(),
  threads: z.number(),
  /** `unknown` where there is no git. */
  commit: z.string(),
  /** Whether files that are part of it were changed. */
  changed: z.boolean(),
  /** Day, as 2026-01-31. */
  date: z.string(),
})

export type Machine = z.infer<typeof machineSchema>

/** The instruction set that float32 is computed with, as the loaded addon says. */
function kernelInstructions(): string {
  const answer = native().call(native().operator('ddsas::instruction_sets'), [])
  return z.tuple([z.array(z.string()), z.string()]).parse(answer)[1]
}

const repository = join(import.meta.dirname, '..')

function git(...args: string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, { cwd: repository, encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

/** The code that runs. `DDSAS_COMMIT` names it on a machine that has the files alone. */
function code(): Pick<Machine, 'commit' | 'changed'> {
  const commit = process.env.DDSAS_COMMIT ?? git('rev-parse', 'HEAD') ?? 'unknown'
  return { commit, changed: (git('status', '--porcelain', '--untracked-files=no') ?? '') !== '' }
}

/** Asked before anything is measured: what is written then changes the tree. */
export function machine(): Machine {
  const { libtorch, cpuCapability, threads } = describeEngine()
  return {
    processor: cpus()[0].model.trim(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    libtorch,
    cpuCapability,
    kernels: kernelInstructions(),
    threads,
    ...code(),
    date: new Date().toISOString().slice(0, 10),
  }
}

/** cpu-2-avx2-1.13.0: the same at every run on one machine. */
export function machineName({ cores, kernels, libtorch }: Machine): string {
  return `cpu-${cores}-${kernels}-${libtorch}`
}

/** "commit `0123456`, 2026-01-31": of what code figures are. */
export function codeText({ commit, changed, date }: Pick<Machine, 'commit' | 'changed' | 'date'>): string {
  return `commit \`${commit.slice(0, 7)}\`${changed ? ' with changes' : ''}, ${date}`
}

/** "AMD EPYC, 2 cores, kernels avx512, libtorch 1.13.0, 2 threads". */
export function machineText({ processor, cores, kernels, libtorch, threads }: Machine): string {
  const many = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
  return `${processor}, ${many(cores, 'core')}, kernels ${kernels}, libtorch ${libtorch}, ${many(threads, 'thread')}`
}
