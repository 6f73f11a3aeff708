/** What an operator does with `penhold repair`: what `penhold verify` tells them to, until it finds no damage. */
import { acceptLosses, mendFile, remakeIndexes, type RepairOptions } from '../../../src/log/repair.ts'
import { verify, type Verification } from '../../../src/log/verify/verify.ts'
import { SimulatedClock } from '../../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../../src/testing/simulated-storage.ts'

const ROUNDS_MAX = 4

/** Resolves to what is still damaged. Without `accepts` nothing is given up. */
export async function repair(disk: SimulatedDisk, accepts: boolean): Promise<readonly string[]> {
  const storage = new SimulatedStorage(disk)
  const clock = new SimulatedClock()
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const { identity, survey, findings } = await verify({ storage, clock })
    const options: RepairOptions = { storage, clock, identity, survey }
    for (const file of told(findings, '--mend')) await mendFile(options, file)
    if (accepts) for (const file of told(findings, '--accept-loss')) await acceptLosses(options, file)
    await remakeIndexes(options)
    const after = await verify({ storage, clock })
    if (after.findings.damages === 0 || !accepts) return damageOf(after)
  }
  return damageOf(await verify({ storage, clock }))
}

/** The files that `verify` says to do this to. */
function told({ kept }: Verification['findings'], flag: string): Set<string> {
  const pattern = new RegExp(`penhold repair ${flag} ([\\w./]+)`)
  return new Set(kept.flatMap(({ remedy }) => pattern.exec(remedy)?.[1] ?? []))
}

function damageOf({ findings }: Verification): string[] {
  return findings.kept
    .filter(({ severity }) => severity === 'damage')
    .map(({ file, offset, problem, remedy }) => `${file} at byte ${offset}: ${problem} (${remedy})`)
}
