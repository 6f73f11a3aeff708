/**
 * Storage over a local file system, or a shared one that keeps the port's promise. Owns the file descriptors and the
 * order of syncs: a name is durable when its folder is synced, content when its file is.
 */
import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { JOURNALS_PATH, SHARDS_PATH } from '../log/path.ts'
import type { LogFile, ReadFile, Storage } from '../log/storage.ts'
import type { FileCalls } from './file-calls.ts'

const FILE_MODE = 0o600
const FOLDER_MODE = 0o700
const TEMPORARY = /\.[0-9a-f-]{36}\.tmp$/
const LEFTOVER_AGE_MS = 60 * 60 * 1000

export class FileStorage implements Storage {
  readonly #root: string
  readonly #calls: FileCalls

  /** `root` is the data directory, which exists. */
  constructor(root: string, calls: FileCalls) {
    this.#root = root
    this.#calls = calls
  }

  /**
   * Removes the temporary files that crashes left behind, once something was made in the root: its time is the file
   * system's own. Only those that are an hour older than that, because another process may be at work; one that was
   * stopped for so long finds its file gone, and what it was about to put in place fails whole.
   */
  async removeLeftovers(): Promise<void> {
    const before = (await this.#calls.modifiedAtMs(this.#root)) - LEFTOVER_AGE_MS
    await this.#removeLeftovers('', before)
    for (const parent of [JOURNALS_PATH, SHARDS_PATH]) {
      for (const name of await this.list(parent)) await this.#removeLeftovers(`${parent}/${name}`, before)
    }
  }

  async #removeLeftovers(folder: string, before: number): Promise<void> {
    // A folder that cannot be read is told to those who need it.
    const names = await this.list(folder).catch(() => [])
    for (const name of names) {
      if (!TEMPORARY.test(name)) continue
      const path = this.#path(`${folder}/${name}`)
      const isOld = (await this.#calls.modifiedAtMs(path).catch(() => before)) < before
      if (isOld) await this.#calls.unlink(path).catch(() => undefined)
    }
  }

  async createExclusive(path: string, content: Uint8Array): Promise<boolean> {
    const target = this.#path(path)
    const temporary = `${target}.${randomUUID()}.tmp`
    try {
      await this.#writeWhole(temporary, content, true)
      // A link appears whole and fails where the name is taken: there is no moment at which the file is half there.
      await this.#calls.link(temporary, target)
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false
      throw error
    } finally {
      await this.#calls.unlink(temporary).catch(() => undefined)
    }
    await this.#syncFolder(dirname(target))
    return true
  }

  async createMark(path: string): Promise<boolean> {
    try {
      await this.#calls.close(await this.#calls.open(this.#path(path), 'wx', FILE_MODE))
      return true
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false
      throw error
    }
  }

  async createFolder(path: string): Promise<boolean> {
    const target = this.#path(path)
    try {
      await this.#calls.makeFolder(target, FOLDER_MODE)
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false
      if (codeOf(error) !== 'ENOENT' || target === this.#root) throw error
      await this.createFolder(dirname(path))
      return this.createFolder(path)
    }
    await this.#syncFolder(dirname(target))
    return true
  }

  async createLog(path: string): Promise<LogFile> {
    const target = this.#path(path)
    const file = await this.#calls.open(target, 'wx', FILE_MODE)
    try {
      await this.#syncFolder(dirname(target))
    } catch (error) {
      // Whoever tries again must not find the name taken.
      await this.#calls.unlink(target).catch(() => undefined)
      await this.#calls.close(file)
      throw error
    }
    return new OpenLogFile(file, this.#calls)
  }

  replace(path: string, content: Uint8Array): Promise<void> {
    return this.#replace(path, content, false)
  }

  async replaceDurably(path: string, content: Uint8Array): Promise<void> {
    await this.#replace(path, content, true)
    await this.#syncFolder(dirname(this.#path(path)))
  }

  async #replace(path: string, content: Uint8Array, isDurable: boolean): Promise<void> {
    const target = this.#path(path)
    const temporary = `${target}.${randomUUID()}.tmp`
    try {
      await this.#writeWhole(temporary, content, isDurable)
      await this.#calls.rename(temporary, target)
    } catch (error) {
      await this.#calls.unlink(temporary).catch(() => undefined)
      throw error
    }
  }

  async remove(path: string): Promise<void> {
    await this.#calls.unlink(this.#path(path)).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error
    })
  }

  removeFolder(path: string): Promise<void> {
    return this.#calls.removeFolder(this.#path(path))
  }

  async openRead(path: string): Promise<ReadFile | undefined> {
    try {
      return new OpenReadFile(await this.#calls.open(this.#path(path), 'r'), this.#calls)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  async list(path: string): Promise<readonly string[]> {
    try {
      return (await this.#calls.list(this.#path(path))).toSorted()
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return []
      throw error
    }
  }

  exists(path: string): boolean {
    // Anything but "no such file" throws: whoever cannot look must not take it for none.
    return statSync(this.#path(path), { throwIfNoEntry: false }) !== undefined
  }

  async #writeWhole(path: string, content: Uint8Array, isDurable: boolean): Promise<void> {
    const file = await this.#calls.open(path, 'wx', FILE_MODE)
    try {
      await writeAll(this.#calls, file, content, 0)
      if (isDurable) await this.#calls.fullSync(file)
    } finally {
      await this.#calls.close(file)
    }
  }

  async #syncFolder(folder: string): Promise<void> {
    const file = await this.#calls.open(folder, 'r')
    try {
      await this.#calls.fullSync(file)
    } finally {
      await this.#calls.close(file)
    }
  }

  #path(path: string): string {
    return join(this.#root, path)
  }
}

class OpenLogFile implements LogFile {
  readonly #file: number
  readonly #calls: FileCalls
  #unsynced = 0

  constructor(file: number, calls: FileCalls) {
    this.#file = file
    this.#calls = calls
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    this.#unsynced += bytes.length
    return writeAll(this.#calls, this.#file, bytes, offset)
  }
  sync(): Promise<void> {
    const bytes = this.#unsynced
    this.#unsynced = 0
    return this.#calls.dataSync(this.#file, bytes)
  }
  truncate(length: number): Promise<void> {
    return this.#calls.truncate(this.#file, length)
  }
  close(): Promise<void> {
    return this.#calls.close(this.#file)
  }
}

/** Up to so much is read without a look at how long the file is. */
const UNASKED_BYTES_MAX = 512 * 1024

class OpenReadFile implements ReadFile {
  readonly #file: number
  readonly #calls: FileCalls

  constructor(file: number, calls: FileCalls) {
    this.#file = file
    this.#calls = calls
  }

  size(): Promise<number> {
    return this.#calls.size(this.#file)
  }

  async read(offset: number, lengthMax: number): Promise<Uint8Array> {
    // What a large length stands in may be damaged: no memory is taken for more than there is.
    const length =
      lengthMax <= UNASKED_BYTES_MAX ? lengthMax : Math.max(0, Math.min(lengthMax, (await this.size()) - offset))
    // Not zeroed first: of what was not read into nothing is handed out.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
    let done = 0
    while (done < length) {
      const count = await this.#calls.read(this.#file, bytes, done, length - done, offset + done)
      if (count === 0) break
      done += count
    }
    return done === length ? bytes : bytes.subarray(0, done)
  }

  // Linux syncs a file through any descriptor of it, also one that was opened to read.
  sync(): Promise<void> {
    return this.#calls.fullSync(this.#file)
  }

  close(): Promise<void> {
    return this.#calls.close(this.#file)
  }
}

async function writeAll(calls: FileCalls, file: number, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    // A short count comes before ENOSPC, which the next call then reports.
    done += await calls.write(file, bytes, done, bytes.length - done, offset + done)
  }
}

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown } | undefined)?.code
}
