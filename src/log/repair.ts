/**
 * Mending a data directory in which nobody works. Nothing that holds events is ever cut: an index is made again, a
 * flipped bit is set right in a new file while the old one is kept under `repaired/`, and what cannot be mended stays
 * where it is and is written down as lost (losses.ts).
 */
import { Catalog } from './catalog.ts'
import { encodeChecked } from './checked-json.ts'
import { decodeClaim } from './claim.ts'
import type { Clock } from './clock.ts'
import type { ClusterIdentity } from './cluster-identity.ts'
import { FilePool } from './file-pool.ts'
import { acceptLoss } from './losses.ts'
import { mendClaim, mendIdentity } from './mend.ts'
import { claimPath, CLUSTER_PATH, journalPath, numbersOf, REPAIRED_PATH, segmentPath } from './path.ts'
import { readSegment } from './scan.ts'
import { readWhole, type Storage } from './storage.ts'
import { hash64 } from './stream.ts'
import type { Survey } from './verify/survey.ts'

export interface RepairOptions {
  readonly storage: Storage
  readonly clock: Clock
  /** Undefined where `cluster.json` itself is to be mended. */
  readonly identity: ClusterIdentity | undefined
  /** What `verify` has found. */
  readonly survey: Survey
}

/** What was done to a file, in words. */
export interface Repair {
  readonly file: string
  readonly done: string
}

/** Makes every index again that is missing or is not what its segment gives. */
export async function remakeIndexes({ storage, clock, identity, survey }: RepairOptions): Promise<Repair[]> {
  if (identity === undefined) return []
  const catalog = new Catalog({ storage, clock, cluster: hash64(identity.clusterId, 0), shards: identity.shards })
  const repairs: Repair[] = []
  for (const { journal, segment, file } of survey.indexesToMake) {
    const index = await catalog.read(journal, segment)
    if (!index.isSound) continue
    await catalog.adopt(index)
    repairs.push({ file, done: 'the index was made again from its segment' })
  }
  await catalog.close()
  return repairs
}

/** Sets right what is known for certain. Resolves to undefined where nothing of the file is. */
export async function mendFile(options: RepairOptions, file: string): Promise<Repair | undefined> {
  const { storage, survey } = options
  const content = await readWhole(storage, file)
  const place = parsePath(file)
  switch (place.kind) {
    case 'cluster':
      return replace(storage, {
        file,
        content,
        mended: content && mendIdentity(content),
        done: 'its one flipped bit was set right',
      })
    case 'segment':
      return mendSegment(options, { ...place, file, content })
    case 'claim': {
      const { shard, epoch } = place
      const isNeeded = content !== undefined || epoch >= survey.newestEpoch(shard)
      if (!isNeeded || isSound(content, place, survey)) return undefined
      const mended = content && mendClaim(content, shard, epoch)
      if (mended !== undefined)
        return replace(storage, { file, content, mended, done: 'its one flipped bit was set right' })
      const journal = survey.journalOf(shard, epoch)
      if (journal === undefined) return undefined
      const claim = encodeChecked({ shard, journal, node: 'penhold repair', epoch })
      return replace(storage, {
        file,
        content,
        mended: claim,
        done: `it was written again from journal ${journal}, which opened the epoch`,
      })
    }
    case 'other':
      return undefined
  }
}

/** Accepts that what cannot be read of a segment is lost. Resolves to nothing where all of it can be. */
export async function acceptLosses({ storage, survey }: RepairOptions, file: string): Promise<Repair[]> {
  const place = parsePath(file)
  if (place.kind !== 'segment') return []
  const views = survey.harmedJournals.get(place.journal) ?? []
  const gaps = views.flatMap((view) => view.gaps).filter((gap) => gap.segment === place.segment && !gap.isAccepted)
  if (gaps.length > 0) await makeDurable(storage, place)
  const repairs: Repair[] = []
  for (const { from, to } of gaps) {
    await acceptLoss(storage, place, to === Number.POSITIVE_INFINITY ? { from } : { from, to })
    const end = to === Number.POSITIVE_INFINITY ? 'to its end' : `to byte ${to}`
    repairs.push({
      file,
      done: `what stood there from byte ${from} ${end} was accepted as lost; the file is as it was`,
    })
  }
  return repairs
}

/**
 * What stands behind a loss shows that there was something: were it in the page cache alone, a power loss would make the
 * loss the torn end of the journal, and hide what is whole in there.
 */
async function makeDurable(
  storage: Storage,
  { journal, segment }: { journal: number; segment: number },
): Promise<void> {
  const files = new FilePool(storage)
  try {
    for (const number of numbersOf(await storage.list(journalPath(journal)), '.log')) {
      if (number >= segment) await files.sync(segmentPath(journal, number))
    }
  } finally {
    await files.close()
  }
}

type Place =
  | { readonly kind: 'cluster' | 'other' }
  | { readonly kind: 'segment'; readonly journal: number; readonly segment: number }
  | { readonly kind: 'claim'; readonly shard: number; readonly epoch: number }

/** Whether a claim is what was written, as far as the journals tell. */
function isSound(
  content: Uint8Array | undefined,
  { shard, epoch }: { readonly shard: number; readonly epoch: number },
  survey: Survey,
): boolean {
  const claim = content && decodeClaim(content, shard, epoch)
  return claim !== undefined && claim.journal === (survey.journalOf(shard, epoch) ?? claim.journal)
}

/** What a path in the data directory stands for. */
function parsePath(file: string): Place {
  if (file === CLUSTER_PATH) return { kind: 'cluster' }
  const [, folder, name] = /^\w+\/(\d+)\/(\d+)\.\w+$/.exec(file)?.map(Number) ?? []
  if (folder === undefined || name === undefined) return { kind: 'other' }
  if (file === segmentPath(folder, name)) return { kind: 'segment', journal: folder, segment: name }
  if (file === claimPath(folder, name)) return { kind: 'claim', shard: folder, epoch: name }
  return { kind: 'other' }
}

async function mendSegment(
  { storage, clock, identity }: RepairOptions,
  {
    journal,
    segment,
    file,
    content,
  }: { journal: number; segment: number; file: string; content: Uint8Array | undefined },
): Promise<Repair | undefined> {
  if (identity === undefined || content === undefined) return undefined
  const catalog = new Catalog({ storage, clock, cluster: hash64(identity.clusterId, 0), shards: identity.shards })
  const mended = Uint8Array.from(content)
  const bits: string[] = []
  for await (const piece of readSegment(catalog.files, catalog.identity(journal, segment))) {
    if (piece.kind !== 'flipped') continue
    const { offset, mask } = piece.flipped
    mended[offset]! ^= mask
    bits.push(`byte ${offset}`)
  }
  await catalog.close()
  if (bits.length === 0) return undefined
  return replace(storage, { file, content, mended, done: `the flipped bit was set right at ${bits.join(', ')}` })
}

/** The copy is durable before anything is changed. */
async function replace(
  storage: Storage,
  repair: Repair & { readonly content: Uint8Array | undefined; readonly mended: Uint8Array | undefined },
): Promise<Repair | undefined> {
  const { file, content, mended, done } = repair
  if (mended === undefined) return undefined
  const kept = content === undefined ? undefined : await keep(storage, file, content)
  await storage.createFolder(folderOf(file))
  await storage.replaceDurably(file, mended)
  return { file, done: kept === undefined ? done : `${done}; as it was, it is kept in ${kept}` }
}

async function keep(storage: Storage, file: string, content: Uint8Array): Promise<string> {
  const path = `${REPAIRED_PATH}/${file}`
  await storage.createFolder(folderOf(path))
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? path : `${path}.${number}`
    if (await storage.createExclusive(name, content)) return name
  }
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}
