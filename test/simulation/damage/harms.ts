/**
 * What is done to the files of a log, so that it can be undone. Only what can be told from a crash is done: the last two batches
 * of a journal are spared, but for one flipped bit each, as nobody can tell larger damage there from a write that was
 * interrupted (docs/operations.md).
 */
import { BATCH_HEADER_BYTES } from '../../../src/log/batch.ts'
import { FilePool } from '../../../src/log/file-pool.ts'
import { JOURNALS_PATH, journalPath, numbersOf, segmentPath } from '../../../src/log/path.ts'
import type { LogRecord } from '../../../src/log/record.ts'
import { readSegment } from '../../../src/log/scan.ts'
import { hash64 } from '../../../src/log/stream.ts'
import type { SimulatedDisk, SimulatedFile } from '../../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../../src/testing/simulated-storage.ts'
import { copyOfDisk, putFile } from '../../log/small-log.ts'

export interface Harm {
  readonly kind:
    'flip-bit' | 'smash' | 'cut-end' | 'zero-end' | 'lose-segment' | 'lose-index' | 'flip-index' | 'lose-end-and-index'
  /** Which file, which place in it, and which place in that: modulo what there is. */
  readonly file: number
  readonly at: number
  readonly within: number
  /** So many are smashed, and what stands there then. */
  readonly bytes: number
  readonly fill: number
}

/** Something that was done to a file. */
type Change =
  | {
      readonly kind: 'bytes'
      readonly path: string
      readonly offset: number
      readonly before: Uint8Array
      readonly after: Uint8Array
    }
  | { readonly kind: 'cut'; readonly path: string; readonly offset: number; readonly tail: Uint8Array }
  | { readonly kind: 'removed'; readonly path: string; readonly content: Uint8Array }

interface PlacedBatch {
  readonly path: string
  readonly journal: number
  readonly segment: number
  readonly from: number
  readonly to: number
  /** It is one of the last two of its journal. */
  readonly isSpared: boolean
}

export class Harms {
  readonly #disk: SimulatedDisk
  #done: Change[] = []

  constructor(disk: SimulatedDisk) {
    this.#disk = disk
  }

  get count(): number {
    return this.#done.length
  }

  /** The disk as it would be had nothing been harmed. */
  unharmed(): SimulatedDisk {
    const copy = copyOfDisk(this.#disk)
    for (const change of this.#done.toReversed()) undo(copy, change)
    return copy
  }

  /**
   * The shards that may be refused for what is harmed: nobody's where it is an index, of a bit whoever has the record with it, and
   * of more than that in one batch anybody's.
   */
  async shardsConcerned(records: readonly LogRecord[]): Promise<ReadonlySet<number> | 'any'> {
    const shards = new Set<number>()
    const inLogs = this.#done.filter(({ path }) => path.endsWith('.log'))
    const batches = await batchesOf(this.unharmed())
    const hit = new Set<PlacedBatch>()
    for (const change of inLogs) {
      if (change.kind !== 'bytes' || change.before.length > 1 || !isBit(change.before[0]! ^ change.after[0]!))
        return 'any'
      const { path, offset } = change
      const batch = batches.find((one) => one.path === path && one.from <= offset && offset < one.to)
      if (batch === undefined || hit.has(batch)) return 'any'
      hit.add(batch)
      if (offset < batch.from + BATCH_HEADER_BYTES) continue
      const record = records.find(
        (one) =>
          one.journal === batch.journal &&
          one.segment === batch.segment &&
          one.offset <= offset &&
          offset < one.offset + one.length,
      )
      // One that does not count: of which shard it is, is not known here.
      if (record === undefined) return 'any'
      shards.add(record.shard)
    }
    return shards
  }

  /** Restores all files. */
  putBack(): void {
    for (const change of this.#done.splice(0).toReversed()) undo(this.#disk, change)
  }

  /** Nobody will put back what was harmed: it was mended, or given up. */
  forget(): void {
    this.#done = []
  }

  /** Forgets the harms of files that are what they were. */
  forgetMended(): void {
    const unharmed = this.unharmed()
    const isMended = (path: string): boolean => {
      const [is, was] = [this.#disk.files.get(path)?.live, unharmed.files.get(path)?.live]
      return is !== undefined && was !== undefined && Buffer.compare(is, was) === 0
    }
    this.#done = this.#done.filter(({ path }) => !isMended(path))
  }

  /** Returns whether there was something that it could be done to. */
  async inflict(harm: Harm): Promise<boolean> {
    const batches = await batchesOf(this.unharmed())
    const changes =
      harm.kind.endsWith('index') && harm.kind !== 'lose-end-and-index'
        ? this.#ofIndex(harm)
        : this.#ofSegment(harm, batches)
    for (const change of changes) {
      redo(this.#disk, change)
      this.#done.push(change)
    }
    return changes.length > 0
  }

  #ofIndex({ kind, file, at, within }: Harm): Change[] {
    const paths = [...this.#disk.files.keys()].filter((path) => path.endsWith('.idx')).toSorted()
    const path = paths[file % Math.max(1, paths.length)]
    if (path === undefined) return []
    return kind === 'lose-index' ? [this.#removal(path)] : this.#flip(path, at % this.#bytes(path).length, within)
  }

  #ofSegment(harm: Harm, batches: readonly PlacedBatch[]): Change[] {
    const paths = [...new Set(batches.map(({ path }) => path))].filter((path) => this.#disk.files.has(path))
    const path = paths[harm.file % Math.max(1, paths.length)]
    if (path === undefined) return []
    const inFile = batches.filter((batch) => batch.path === path)
    const spared = inFile.filter(({ isSpared }) => isSpared)
    const chosen = inFile[harm.at % inFile.length]!
    const { from, to } = chosen
    switch (harm.kind) {
      case 'flip-bit': {
        if (chosen.isSpared && this.#isHarmed(chosen)) return []
        return this.#flip(path, from + (harm.within % (to - from)), harm.at)
      }
      case 'smash': {
        const offset = from + (harm.within % (to - from))
        const end = Math.min(offset + harm.bytes, inFile.at(-1)!.to, spared[0]?.from ?? Number.POSITIVE_INFINITY)
        return end <= offset ? [] : this.#fill(path, { offset, end, fill: harm.fill })
      }
      case 'cut-end':
      case 'zero-end':
      case 'lose-end-and-index': {
        if (spared.length > 0) return []
        const offset = from + (harm.within % 2 === 0 ? 0 : harm.within % (to - from))
        const { length } = this.#bytes(path)
        const index = path.replace(/log$/, 'idx')
        const also = harm.kind === 'lose-end-and-index' && this.#disk.files.has(index) ? [this.#removal(index)] : []
        if (harm.kind === 'zero-end') return this.#fill(path, { offset, end: length, fill: 0 })
        if (offset >= length) return also
        return [{ kind: 'cut', path, offset, tail: this.#bytes(path).slice(offset) }, ...also]
      }
      case 'lose-segment':
        return spared.length > 0 ? [] : [this.#removal(path)]
      case 'lose-index':
      case 'flip-index':
        return []
    }
  }

  #isHarmed({ path, from, to }: PlacedBatch): boolean {
    return this.#done.some((change) => {
      if (change.path !== path || change.kind === 'removed') return false
      const length = change.kind === 'cut' ? change.tail.length : change.before.length
      return change.offset < to && from < change.offset + length
    })
  }

  #bytes(path: string): Uint8Array {
    return this.#disk.files.get(path)!.live
  }

  #removal(path: string): Change {
    return { kind: 'removed', path, content: this.#bytes(path) }
  }

  #flip(path: string, offset: number, bit: number): Change[] {
    const before = this.#bytes(path).slice(offset, offset + 1)
    if (before.length === 0) return []
    return [{ kind: 'bytes', path, offset, before, after: Uint8Array.of(before[0]! ^ (1 << (bit % 8))) }]
  }

  #fill(path: string, { offset, end, fill }: { offset: number; end: number; fill: number }): Change[] {
    const before = this.#bytes(path).slice(offset, end)
    return before.length === 0
      ? []
      : [{ kind: 'bytes', path, offset, before, after: new Uint8Array(before.length).fill(fill) }]
  }
}

function isBit(difference: number): boolean {
  return difference !== 0 && (difference & (difference - 1)) === 0
}

function redo({ files }: SimulatedDisk, change: Change): void {
  const { path } = change
  const file = files.get(path)!
  switch (change.kind) {
    case 'bytes':
      return put(file, change.offset, change.after)
    case 'cut':
      return file.truncate(change.offset)
    case 'removed':
      files.delete(path)
  }
}

/** An index that was made again meanwhile stays as it is. */
function undo(disk: SimulatedDisk, change: Change): void {
  const { files } = disk
  const { path } = change
  const file = files.get(path)
  switch (change.kind) {
    case 'bytes': {
      const { offset, before, after } = change
      const isSame = file !== undefined && Buffer.compare(file.live.slice(offset, offset + after.length), after) === 0
      if (file !== undefined && (isSame || path.endsWith('.log'))) put(file, offset, before)
      return
    }
    case 'cut':
      if (file === undefined) return
      file.write(change.offset, change.tail)
      return file.sync()
    case 'removed':
      if (file === undefined) putFile(disk, path, change.content)
  }
}

/** What is durable, too. */
function put(file: SimulatedFile, offset: number, bytes: Uint8Array): void {
  for (const [i, byte] of bytes.entries()) {
    const difference = (file.live[offset + i] ?? byte) ^ byte
    for (let bit = 0; bit < 8; bit += 1) if ((difference & (1 << bit)) !== 0) file.flip(offset + i, bit)
  }
}

/** The whole batches of all journals. */
async function batchesOf(disk: SimulatedDisk): Promise<PlacedBatch[]> {
  const storage = new SimulatedStorage(disk)
  const files = new FilePool(storage)
  const all: PlacedBatch[] = []
  for (const journal of numbersOf(await storage.list(JOURNALS_PATH), '')) {
    const ofJournal: Omit<PlacedBatch, 'isSpared'>[] = []
    for (const segment of numbersOf(await storage.list(journalPath(journal)), '.log')) {
      const path = segmentPath(journal, segment)
      for await (const piece of readSegment(files, { journal, segment, cluster: hash64('simulated', 0) })) {
        if (piece.kind !== 'batch') continue
        const { offset, length } = piece.batch
        ofJournal.push({ path, journal, segment, from: offset, to: offset + length })
      }
    }
    all.push(...ofJournal.map((batch, i) => ({ ...batch, isSpared: i >= ofJournal.length - 2 })))
  }
  return all
}
