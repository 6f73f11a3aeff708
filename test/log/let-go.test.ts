import { expect, test } from 'vitest'
import { BatchBuilder } from '../../src/log/batch.ts'
import { FilePool } from '../../src/log/file-pool.ts'
import { Journal } from '../../src/log/journal.ts'
import { MemoryStorage } from '../../src/log/memory-storage.ts'
import type { LogFile, ReadFile } from '../../src/log/storage.ts'
import { hash64 } from '../../src/log/stream.ts'
import { NO_STREAM, markParts } from '../../src/log/take-over.ts'

/** Memory that counts what is open. Files that are written cannot be cut where it says so. */
class CountedStorage extends MemoryStorage {
  readonly #cannotCut: boolean
  open = 0

  constructor({ cannotCut = false } = {}) {
    super()
    this.#cannotCut = cannotCut
  }

  override async createLog(path: string): Promise<LogFile> {
    const file = await super.createLog(path)
    this.open += 1
    return {
      write: (offset, bytes) => file.write(offset, bytes),
      sync: () => file.sync(),
      truncate: (length) => (this.#cannotCut ? Promise.reject(new Error('it cannot be cut')) : file.truncate(length)),
      close: async () => void (this.open -= 1),
    }
  }

  override async openRead(path: string): Promise<ReadFile | undefined> {
    const file = await super.openRead(path)
    if (file === undefined) return undefined
    this.open += 1
    return {
      size: () => file.size(),
      read: (offset, length) => file.read(offset, length),
      sync: () => file.sync(),
      close: async () => void (this.open -= 1),
    }
  }
}

test('files are kept open until their pool is closed, and from then on for as long as they are read', async () => {
  const storage = new CountedStorage()
  await storage.createExclusive('a', Uint8Array.of(1, 2, 3))
  const pool = new FilePool(storage)
  await pool.read('a', 0, 3)
  expect(storage.open).toBe(1)
  const reading = pool.read('a', 0, 3)
  await pool.close()
  expect(await reading).toEqual(Uint8Array.of(1, 2, 3))
  expect(storage.open).toBe(0)
  expect(await pool.read('a', 1, 1)).toEqual(Uint8Array.of(2))
  expect(storage.open).toBe(0)
})

test('a journal that breaks at the end of a segment gives all its files back', async () => {
  const storage = new CountedStorage({ cannotCut: true })
  const cluster = hash64('test', 0)
  const journal = await Journal.create(storage, { cluster, segmentBytes: 4096 })
  const append = (): Promise<void> => {
    const batch = new BatchBuilder(cluster)
    batch.begin(journal.place)
    batch.add(NO_STREAM, markParts(1, 0))
    return journal.append(batch)
  }
  await append()
  journal.endSegmentWith(journal.place)
  await append()
  await expect(append()).rejects.toMatchObject({ name: 'JournalBroken' })
  await journal.close()
  expect(storage.open).toBe(0)
})
