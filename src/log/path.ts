/**
 * Where things stand in the data directory. Every name is made of numbers that the log gave out itself: nothing that a
 * user chose ever becomes part of a path.
 */
export const CLUSTER_PATH = 'cluster.json'
export const LOCK_PATH = 'lock'
export const JOURNALS_PATH = 'journals'
export const SHARDS_PATH = 'shards'
/** Copies of what a repair has replaced. Nothing reads them. */
export const REPAIRED_PATH = 'repaired'

/** How often the log was restored, and up to where each time (restoration.ts). */
export const RESTORED_PATH = 'restored.json'
/** Stands in a directory that is being restored or imported, until all of it is there. */
export const UNFINISHED_PATH = 'unfinished'

const JOURNAL_DIGITS = 8
const SEGMENT_DIGITS = 6

export function journalPath(journal: number): string {
  return `${JOURNALS_PATH}/${pad(journal, JOURNAL_DIGITS)}`
}

export function segmentPath(journal: number, segment: number): string {
  return `${journalPath(journal)}/${pad(segment, SEGMENT_DIGITS)}.log`
}

export function indexPath(journal: number, segment: number): string {
  return `${journalPath(journal)}/${pad(segment, SEGMENT_DIGITS)}.idx`
}

/** The losses that were accepted in a segment. */
export function lossPath(journal: number, segment: number): string {
  return `${journalPath(journal)}/${pad(segment, SEGMENT_DIGITS)}.lost`
}

export function fencePath(journal: number, fence: number): string {
  return `${journalPath(journal)}/${pad(fence, SEGMENT_DIGITS)}.fence`
}

export function shardPath(shard: number): string {
  return `${SHARDS_PATH}/${pad(shard, 5)}`
}

export function claimPath(shard: number, epoch: number): string {
  return `${shardPath(shard)}/${pad(epoch, 10)}.claim`
}

/** Says that the epoch was opened: should its claim be lost, nobody takes an older one for the newest. */
export function openedPath(shard: number, epoch: number): string {
  return `${shardPath(shard)}/${pad(epoch, 10)}.opened`
}

/** The greatest number in a name: it must fit into the 32 bits that records have for it. */
const NUMBER_MAX = 2 ** 32 - 2

/** The numbers of the entries whose name is digits and this ending, increasing. Greater ones nobody has given out. */
export function numbersOf(names: readonly string[], ending: string): number[] {
  return names
    .filter((name) => name.endsWith(ending) && /^\d+$/.test(name.slice(0, name.length - ending.length)))
    .map((name) => Number.parseInt(name, 10))
    .filter((number) => number <= NUMBER_MAX)
    .toSorted((a, b) => a - b)
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0')
}
