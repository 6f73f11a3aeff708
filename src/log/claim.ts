/**
 * Claims and fences: the log's word on who owns a shard (I1).
 *
 * A claim is the file `shards/<shard>/<epoch>.claim`. Creating it exclusively begins the epoch; its content names the
 * journal that the new owner writes. A fence is a file in a journal's own folder, which a claimer creates after its
 * claims and before it reads that journal. So the journal's writer needs one look, at the next fence, to know after a
 * sync that nobody has claimed a shard of it: if it sees none, its batch was there before the claimer read, and will be
 * found by it.
 */
import { decodeChecked, encodeChecked } from './checked-json.ts'
import { isCount } from './count.ts'
import { failureAt, isLogCorrupt, JournalBroken, logCorrupt } from './error.ts'
import {
  claimPath,
  fencePath,
  journalPath,
  numbersOf,
  openedPath,
  segmentPath,
  shardPath,
  SHARDS_PATH,
} from './path.ts'
import { readWhole, type Storage } from './storage.ts'

export interface Claim {
  readonly shard: number
  readonly epoch: number
  readonly journal: number
  /** The process and machine that claimed, for humans. */
  readonly node: string
}

/** Claims the shard's next epoch. Several may try at once: each gets an epoch of its own, and the greatest counts. */
export async function createClaim(storage: Storage, claim: Omit<Claim, 'epoch'>): Promise<Claim> {
  await storage.createFolder(shardPath(claim.shard))
  let epoch = (await newestEpoch(storage, claim.shard)) + 1
  while (!(await storage.createExclusive(claimPath(claim.shard, epoch), encodeChecked({ ...claim, epoch })))) epoch += 1
  return { ...claim, epoch }
}

/** The greatest epoch that anyone has claimed; 0 where nobody has. */
export async function newestEpoch(storage: Storage, shard: number): Promise<number> {
  return numbersOf(await storage.list(shardPath(shard)), '.claim').at(-1) ?? 0
}

export async function isNewestClaim(storage: Storage, { shard, epoch }: Claim): Promise<boolean> {
  return (await newestEpoch(storage, shard)) === epoch
}

/**
 * Whether nobody has claimed the shard after this epoch: by a look, at once and past every cache, as `Storage.exists` has it.
 * A claim whose successor is removed is gone itself, since claims are removed from the oldest on (`settleClaim`): where it still
 * stands once its successor was not to be seen, there was none.
 */
export function isLastEpoch(storage: Storage, shard: number, epoch: number): boolean {
  return !storage.exists(claimPath(shard, epoch + 1)) && storage.exists(claimPath(shard, epoch))
}

/** Reads a claim. @throws PenholdError `LogCorrupt` where it cannot be read or is not what was written: it is never torn. */
export async function readClaim(storage: Storage, shard: number, epoch: number): Promise<Claim> {
  const path = claimPath(shard, epoch)
  const content = await readWhole(storage, path).catch((error: unknown) => {
    throw failureAt(path, error)
  })
  if (content === undefined) throw logCorrupt(path, 0, 'the claim is missing')
  const claim = decodeClaim(content, shard, epoch)
  if (claim === undefined) throw logCorrupt(path, 0, 'this is not the claim that was written')
  return claim
}

/** The greatest journal that a shard's newest claim names; 0 where there are no claims. */
export async function newestClaimedJournal(storage: Storage): Promise<number> {
  let newest = 0
  for (const shard of numbersOf(await storage.list(SHARDS_PATH), '')) {
    const claim = await maybeReadNewest(storage, shard)
    newest = Math.max(newest, claim?.journal ?? 0)
  }
  return newest
}

/** Undefined where there is none, or none that can be read: whoever takes the shard over is told why. */
async function maybeReadNewest(storage: Storage, shard: number): Promise<Claim | undefined> {
  try {
    const epoch = await newestEpoch(storage, shard)
    return epoch === 0 ? undefined : await readClaim(storage, shard, epoch)
  } catch (error) {
    if (isLogCorrupt(failureAt(shardPath(shard), error))) return undefined
    throw error
  }
}

/**
 * Leaves a mark that the claim's epoch was opened, and removes what no reader and no fence needs any more: claims from
 * before the epoch at which the shard was opened the last time, and older marks.
 */
export async function settleClaim(storage: Storage, { shard, epoch }: Claim, openedEpoch: number): Promise<void> {
  await storage.createMark(openedPath(shard, epoch))
  const names = await storage.list(shardPath(shard))
  for (const old of numbersOf(names, '.claim')) if (old < openedEpoch) await storage.remove(claimPath(shard, old))
  for (const old of numbersOf(names, '.opened')) if (old < epoch) await storage.remove(openedPath(shard, old))
}

/**
 * The newest epoch that was opened and whose claim is gone, with none after it: 0 where there is none, as it should be.
 * A mark is made long after its claim, so that whoever sees the one and not the other looks once more.
 */
export async function lostEpoch(storage: Storage, shard: number): Promise<number> {
  for (let look = 1; ; look += 1) {
    const names = await storage.list(shardPath(shard))
    const opened = numbersOf(names, '.opened').at(-1) ?? 0
    if (opened <= (numbersOf(names, '.claim').at(-1) ?? 0)) return 0
    if (look === 2) return opened
  }
}

export function decodeClaim(content: Uint8Array, shard: number, epoch: number): Claim | undefined {
  const claim = decodeChecked(content) as Claim | undefined
  if (claim?.shard !== shard || claim.epoch !== epoch) return undefined
  return isCount(claim.journal) && claim.journal > 0 && typeof claim.node === 'string' ? claim : undefined
}

/** Tells a journal's writer that shards of it were claimed. */
export async function raiseFence(storage: Storage, journal: number): Promise<void> {
  let fence = (numbersOf(await storage.list(journalPath(journal)), '.fence').at(-1) ?? 0) + 1
  while (!(await storage.createMark(fencePath(journal, fence)))) fence += 1
}

/**
 * The writer's side: looks whether a fence was raised in its journal since it last looked. That there is none counts only
 * where the look was at the folder in which it writes: a volume that was taken away under a process can still be written
 * to through its open files, while at its place nothing is to be seen.
 */
export class FenceWatch {
  readonly #storage: Storage
  readonly #journal: number
  /** Stands in the journal's folder for as long as that is there. */
  readonly #witness: string
  #next: string
  #seen = 0
  /** Shards whose claims nobody has looked up since a fence was seen. */
  readonly #unchecked = new Set<number>()

  constructor(storage: Storage, journal: number) {
    this.#storage = storage
    this.#journal = journal
    this.#witness = segmentPath(journal, 1)
    this.#next = fencePath(journal, 1)
  }

  /**
   * About two microseconds where there is none. Each fence is reported once.
   * @throws JournalBroken where nobody can tell
   */
  isRaised(): boolean {
    try {
      return this.#look()
    } catch (error) {
      throw new JournalBroken(`whether journal ${this.#journal} is fenced cannot be seen`, { cause: error })
    }
  }

  /** A fence was seen: of each of these shards there may be a newer claim. */
  doubt(shards: Iterable<number>): void {
    for (const shard of shards) this.#unchecked.add(shard)
  }

  /** Those that are in doubt, of these or of all. */
  unchecked(among: Iterable<number> = this.#unchecked): readonly number[] {
    return this.#unchecked.size === 0 ? [] : [...new Set(among)].filter((shard) => this.#unchecked.has(shard))
  }

  /** The greatest epoch that anyone has claimed. Whoever asks before it is known has to find out as well. */
  async newestEpoch(shard: number): Promise<number> {
    const seen = this.#seen
    const epoch = await newestEpoch(this.#storage, shard)
    if (seen === this.#seen) this.#unchecked.delete(shard)
    return epoch
  }

  /** It is not owned any more: there is no epoch to compare with. */
  forget(shard: number): 0 {
    this.#unchecked.delete(shard)
    return 0
  }

  #look(): boolean {
    let isNew = false
    while (this.#storage.exists(this.#next)) {
      isNew = true
      this.#seen += 1
      this.#next = fencePath(this.#journal, this.#seen + 1)
    }
    if (!isNew && !this.#storage.exists(this.#witness)) throw new Error(`${this.#witness} is gone`)
    return isNew
  }
}
