/** Prints, for each table that is named, the held-out networks: measured, predicted, and by how much that is off. */
import { tableCost } from '../../src/budget/cost-table.ts'
import { latencyCosts, readLatencyTable } from '../../src/budget/latency-table.ts'
import { findSpace } from '../../src/spaces/index.ts'

for (const path of process.argv.slice(2)) {
  const table = readLatencyTable(path)
  const space = findSpace(table.space)
  const costs = latencyCosts(table, space, table.network, path)
  const rows = table.heldOut.map(({ architecture, ms }) => {
    const predicted = tableCost(costs, space.encode(space.parse(architecture, path)))
    return { architecture, ms, predicted, error: predicted / ms - 1 }
  })
  const within = rows.filter(({ error }) => Math.abs(error) <= 0.1).length
  console.log(`${path}: ${within} of ${rows.length} within 10 %`)
  for (const { architecture, ms, predicted, error } of rows.toSorted((a, b) => a.error - b.error))
    console.log(
      `${ms.toFixed(3)} ms  ${predicted.toFixed(3)} ms  ${(100 * error).toFixed(1)} %  ${architecture}`,
    )
}
