/** The storage port in memory: what is written is there for as long as the process. It keeps what the port promises but that. */
import type { LogFile, ReadFile, Storage } from './storage.ts'

export class MemoryStorage implements Storage {
  readonly #files = new Map<string, MemoryFile>()
  readonly #folders = new Set<string>()

  async createExclusive(path: string, content: Uint8Array): Promise<boolean> {
    if (this.#files.has(path)) return false
    this.#files.set(path, new MemoryFile(content))
    return true
  }

  createMark(path: string): Promise<boolean> {
    return this.createExclusive(path, new Uint8Array())
  }

  async createFolder(path: string): Promise<boolean> {
    if (this.#folders.has(path)) return false
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) this.#folders.add(path.slice(0, end))
    this.#folders.add(path)
    return true
  }

  async createLog(path: string): Promise<LogFile> {
    if (!(await this.createMark(path))) throw failure('EEXIST', path)
    return this.#files.get(path)!
  }

  async replace(path: string, content: Uint8Array): Promise<void> {
    this.#files.set(path, new MemoryFile(content))
  }

  replaceDurably(path: string, content: Uint8Array): Promise<void> {
    return this.replace(path, content)
  }

  async remove(path: string): Promise<void> {
    this.#files.delete(path)
  }

  async removeFolder(path: string): Promise<void> {
    if (this.#namesIn(path).length > 0) throw failure('ENOTEMPTY', path)
    this.#folders.delete(path)
  }

  async openRead(path: string): Promise<ReadFile | undefined> {
    return this.#files.get(path)
  }

  async list(path: string): Promise<readonly string[]> {
    return this.#namesIn(path)
  }

  exists(path: string): boolean {
    return this.#files.has(path) || this.#folders.has(path)
  }

  #namesIn(folder: string): readonly string[] {
    const prefix = `${folder}/`
    return [...this.#files.keys(), ...this.#folders]
      .filter((path) => path.startsWith(prefix) && !path.includes('/', prefix.length))
      .map((path) => path.slice(prefix.length))
      .toSorted()
  }
}

class MemoryFile implements LogFile, ReadFile {
  #bytes: Uint8Array
  #length: number

  constructor(content: Uint8Array) {
    this.#bytes = Uint8Array.from(content)
    this.#length = content.length
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const end = offset + bytes.length
    if (end > this.#bytes.length) {
      const longer = new Uint8Array(Math.max(end, 2 * this.#bytes.length))
      longer.set(this.#bytes)
      this.#bytes = longer
    }
    this.#bytes.set(bytes, offset)
    this.#length = Math.max(this.#length, end)
  }

  async sync(): Promise<void> {}

  async truncate(length: number): Promise<void> {
    this.#bytes.fill(0, length)
    this.#length = Math.min(this.#length, length)
  }

  async size(): Promise<number> {
    return this.#length
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.#bytes.slice(offset, Math.min(offset + length, this.#length))
  }

  async close(): Promise<void> {}
}

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}
