/**
 * Files open for reading, the most recently used ones: a log of thousands of segments must not use up the process's
 * file descriptors.
 */
import type { ReadFile, Storage } from './storage.ts'

const OPEN_MAX = 128

export class FilePool {
  readonly #storage: Storage
  /** In order of use, the least recent first. A file that is missing is not remembered. */
  readonly #open = new Map<string, Promise<ReadFile | undefined>>()

  constructor(storage: Storage) {
    this.#storage = storage
  }

  /** Up to `length` bytes; undefined where there is no such file. */
  async read(path: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    const file = await this.#file(path)
    return file?.read(offset, length)
  }

  async size(path: string): Promise<number | undefined> {
    const file = await this.#file(path)
    return file?.size()
  }

  /** Forgets a file that was replaced. */
  async forget(path: string): Promise<void> {
    const file = this.#open.get(path)
    this.#open.delete(path)
    await (await file)?.close()
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((path) => this.forget(path)))
  }

  async #file(path: string): Promise<ReadFile | undefined> {
    let file = this.#open.get(path)
    this.#open.delete(path)
    file ??= this.#storage.openRead(path)
    this.#open.set(path, file)
    const opened = await file.catch((error: unknown) => {
      this.#open.delete(path)
      throw error
    })
    if (opened === undefined) this.#open.delete(path)
    if (this.#open.size > OPEN_MAX) this.#evict()
    return opened
  }

  #evict(): void {
    const [oldest] = this.#open.keys()
    if (oldest === undefined) return
    const file = this.#open.get(oldest)
    this.#open.delete(oldest)
    // Not before whoever is reading from it has had the bytes: reads of this turn are already under way.
    void file?.then((opened) => opened?.close()).catch(() => undefined)
  }
}
