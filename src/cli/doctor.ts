/** The command `ddsas doctor`: prints what this machine has for a search and what mends what is missing. */
import { Command } from 'commander'
import { exitCodes } from '../errors.ts'
import { type Finding, findAll } from './findings.ts'

/** Builds `ddsas doctor`; it sets exit code 2 where something needed is missing. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('print what was found on this machine and how to mend what is missing')
    .option('--data <dir>', 'data folder', 'data')
    .option('--json', 'print the findings as JSON')
    .action(doctorAction)
}

async function doctorAction({ data, json }: { data: string; json?: boolean }): Promise<void> {
  const findings = await findAll(data)
  const ready = findings.every(({ ok, needed }) => ok || !needed)
  console.log(json ? JSON.stringify({ ready, findings }, undefined, 2) : doctorText(findings, ready))
  if (!ready) process.exitCode = exitCodes.setup
}

function doctorText(findings: readonly Finding[], ready: boolean): string {
  const width = Math.max(...findings.map(({ name }) => name.length))
  const rows = findings.map(({ name, ok, found, remedy }) => {
    const line = `${ok ? 'ok     ' : 'missing'}  ${name.padEnd(width)}  ${found}`
    return remedy ? `${line}\n         ${' '.repeat(width)}  -> ${remedy}` : line
  })
  return [...rows, ready ? 'ready: a search can run' : 'not ready: mend what is missing above'].join('\n')
}
