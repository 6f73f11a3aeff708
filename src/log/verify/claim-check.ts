/**
 * Claims: each is what was written, and from the newest opening on none is missing. Those before it are removed, nobody
 * needs them, and a power loss may bring any of them back.
 */
import { readClaim, type Claim } from '../claim.ts'
import { isLogCorrupt } from '../error.ts'
import { claimPath, numbersOf, shardPath, SHARDS_PATH } from '../path.ts'
import { readWhole, type Storage } from '../storage.ts'
import { mendClaim } from '../mend.ts'
import { mendCommand, REPAIR, type Findings } from './finding.ts'
import type { Survey } from './survey.ts'

export interface ClaimCheckOptions {
  readonly storage: Storage
  readonly shards: number
  readonly findings: Findings
  readonly survey: Survey
}

/** Runs after the journals were read; resolves to the claims that could be read. */
export async function checkClaims(options: ClaimCheckOptions): Promise<Claim[]> {
  const { storage, shards, findings, survey } = options
  const claims: Claim[] = []
  const folders = numbersOf(await storage.list(SHARDS_PATH), '')
  for (const shard of new Set([...folders, ...survey.openedShards])) {
    if (shard >= shards) {
      const problem = `there is no shard ${shard}`
      findings.add({
        severity: 'notice',
        file: shardPath(shard),
        offset: 0,
        problem,
        meaning: 'nothing reads it',
        remedy: '',
      })
      continue
    }
    claims.push(...(await checkShard(options, shard)))
  }
  return claims
}

async function checkShard({ storage, findings, survey }: ClaimCheckOptions, shard: number): Promise<Claim[]> {
  const epochs = numbersOf(await storage.list(shardPath(shard)), '.claim')
  const opened = survey.newestEpoch(shard)
  const newest = Math.max(opened, epochs.at(-1) ?? 0)
  const needed = opened === 0 ? (epochs[0] ?? newest) : opened
  const claims: Claim[] = []
  for (let epoch = Math.max(1, Math.min(needed, epochs[0] ?? needed)); epoch <= newest; epoch += 1) {
    if (epoch < needed && !epochs.includes(epoch)) continue
    const result = await read(storage, shard, epoch)
    if (typeof result === 'object') claims.push(result)
    const journal = survey.journalOf(shard, epoch)
    const problem = typeof result === 'string' ? result : contradiction(result, journal)
    if (problem === undefined || (await isRemoved(storage, shard, epoch))) continue
    findings.add({
      severity: 'damage',
      file: claimPath(shard, epoch),
      offset: 0,
      problem,
      meaning: `it says who owned shard ${shard} in epoch ${epoch}; without it the shard is refused, or its history taken for older than it is`,
      remedy: await remedyFor(storage, { shard, epoch, journal }),
    })
  }
  return claims
}

async function read(storage: Storage, shard: number, epoch: number): Promise<Claim | string> {
  try {
    return await readClaim(storage, shard, epoch)
  } catch (error) {
    if (!isLogCorrupt(error)) throw error
    return storage.exists(claimPath(shard, epoch)) ? 'this is not the claim that was written' : 'the claim is missing'
  }
}

/** A journal that it names and that is missing is told of for itself. */
function contradiction({ journal }: Claim, opened: number | undefined): string | undefined {
  return opened === undefined || opened === journal
    ? undefined
    : `it names journal ${journal}, and journal ${opened} opened the epoch`
}

/** A node that runs beside may have removed a claim that nobody needs any more. */
async function isRemoved(storage: Storage, shard: number, epoch: number): Promise<boolean> {
  const [oldest] = numbersOf(await storage.list(shardPath(shard)), '.claim')
  return oldest !== undefined && epoch < oldest
}

async function remedyFor(
  storage: Storage,
  { shard, epoch, journal }: { shard: number; epoch: number; journal: number | undefined },
): Promise<string> {
  const path = claimPath(shard, epoch)
  const content = await readWhole(storage, path)
  if (content !== undefined && mendClaim(content, shard, epoch) !== undefined) return mendCommand(path)
  if (journal !== undefined)
    return `${REPAIR} --mend ${path}, which writes it again from the journal that opened the epoch`
  return `Restore ${path}, and what it names, from a backup`
}
