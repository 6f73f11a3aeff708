/**
 * Files open for reading, the most recently used ones: a log of thousands of segments must not use up the process's
 * file descriptors. A file is closed when it was evicted and nobody reads from it any more.
 */
import { failureAt } from './error.ts'
import type { ReadFile, Storage } from './storage.ts'

const OPEN_MAX = 128

interface PooledFile {
  readonly opening: Promise<ReadFile | undefined>
  readers: number
  isEvicted: boolean
}

export class FilePool {
  readonly #storage: Storage
  /** In order of use, the least recent first. */
  readonly #open = new Map<string, PooledFile>()
  #isClosed = false

  constructor(storage: Storage) {
    this.#storage = storage
  }

  /** Up to `length` bytes; undefined where there is no such file. @throws PenholdError `LogCorrupt` where it cannot be read */
  read(path: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.use(path, (file) => file.read(offset, length))
  }

  size(path: string): Promise<number | undefined> {
    return this.use(path, (file) => file.size())
  }

  /** Makes durable what was written to a file by now, by whomever; nothing where there is none. */
  async sync(path: string): Promise<void> {
    await this.use(path, (file) => file.sync())
  }

  /** Forgets a file that was replaced. */
  async forget(path: string): Promise<void> {
    const file = this.#open.get(path)
    if (file !== undefined) await this.#evict(path, file)
  }

  /** From here on a file is open for as long as it is read. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const [path, file] of this.#open) await this.#evict(path, file)
  }

  /** Works on a file while it is kept open: on another object whenever it was opened anew. Undefined where there is none. */
  async use<T>(path: string, work: (file: ReadFile) => Promise<T>): Promise<T | undefined> {
    const isEvicted = this.#isClosed
    const file = this.#open.get(path) ?? { opening: this.#storage.openRead(path), readers: 0, isEvicted }
    this.#open.delete(path)
    if (!file.isEvicted) this.#open.set(path, file)
    file.readers += 1
    try {
      const opened = await file.opening
      // What is missing may be there the next time.
      if (opened === undefined) this.#open.delete(path)
      return opened === undefined ? undefined : await work(opened)
    } catch (error) {
      this.#open.delete(path)
      file.isEvicted = true
      throw failureAt(path, error)
    } finally {
      file.readers -= 1
      await this.#closeUnused(file)
      const [oldest] = this.#open
      if (this.#open.size > OPEN_MAX && oldest !== undefined) await this.#evict(...oldest)
    }
  }

  async #evict(path: string, file: PooledFile): Promise<void> {
    this.#open.delete(path)
    file.isEvicted = true
    await this.#closeUnused(file)
  }

  async #closeUnused(file: PooledFile): Promise<void> {
    if (!file.isEvicted || file.readers > 0) return
    const opened = await file.opening.catch(() => undefined)
    await opened?.close()
  }
}
