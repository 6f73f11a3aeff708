/**
 * Storage over a simulated disk, as one process sees it. Each call is a step at which a fault plan may strike: the call
 * fails, the disk is full, or the process dies before, or after, the call had its effect.
 */
import type { LogFile, ReadFile, Storage } from '../log/storage.ts'
import { SimulatedFile, type SimulatedDisk } from './simulated-disk.ts'

export type StepName =
  | 'createExclusive'
  | 'createMark'
  | 'createFolder'
  | 'createLog'
  | 'replace'
  | 'remove'
  | 'removeFolder'
  | 'openRead'
  | 'list'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'read'

export interface Step {
  readonly name: StepName
  readonly path: string
  /** The process's how-manieth step this is, from 1 on. */
  readonly number: number
}

/** What happens at a step. `before` and `after` say when the process dies, seen from the call's effect. */
export type Fault = 'none' | 'fail' | 'full' | 'die-before' | 'die-after'

/** Says what happens at a step. A promise stops the process there until it is settled. */
export type Plan = (step: Step) => Fault | Promise<Fault>

/** The process is dead: nothing it does has an effect any more. */
export class ProcessDied extends Error {
  override readonly name = 'ProcessDied'
}

export class SimulatedStorage implements Storage {
  readonly #disk: SimulatedDisk
  readonly #plan: Plan
  readonly #awake: (() => Promise<void>) | undefined
  #steps = 0
  #isDead = false
  #finishes = false

  /** `awake` resolves when the process runs, to hear of what its call came to; the call itself does not wait for it. */
  constructor(disk: SimulatedDisk, plan: Plan = () => 'none', awake?: () => Promise<void>) {
    this.#disk = disk
    this.#plan = plan
    this.#awake = awake
  }

  get steps(): number {
    return this.#steps
  }
  get isDead(): boolean {
    return this.#isDead
  }

  /** With `finishes`, calls that are under way still take effect, as those do that are inside the system. */
  kill(finishes: boolean = false): void {
    this.#isDead = true
    this.#finishes = finishes
  }

  createExclusive(path: string, content: Uint8Array): Promise<boolean> {
    return this.#step('createExclusive', path, () => {
      if (this.#disk.files.has(path)) return false
      this.#take(content.length)
      const file = new SimulatedFile(true)
      file.write(0, content)
      file.sync()
      this.#disk.files.set(path, file)
      return true
    })
  }

  createMark(path: string): Promise<boolean> {
    return this.#step('createMark', path, () => {
      if (this.#disk.files.has(path)) return false
      this.#disk.files.set(path, new SimulatedFile(false))
      return true
    })
  }

  createFolder(path: string): Promise<boolean> {
    return this.#step('createFolder', path, () => {
      if (this.#disk.folders.has(path)) return false
      this.#disk.makeFolder(path)
      return true
    })
  }

  createLog(path: string): Promise<LogFile> {
    return this.#step('createLog', path, () => {
      if (this.#disk.files.has(path)) throw Object.assign(new Error(`${path} exists`), { code: 'EEXIST' })
      const file = new SimulatedFile(true)
      this.#disk.files.set(path, file)
      return this.#logFile(path, file)
    })
  }

  replace(path: string, content: Uint8Array): Promise<void> {
    return this.#step('replace', path, () => {
      this.#take(content.length)
      const file = new SimulatedFile(false)
      file.write(0, content)
      this.#disk.files.set(path, file)
    })
  }

  replaceDurably(path: string, content: Uint8Array): Promise<void> {
    return this.#step('replace', path, () => {
      this.#take(content.length)
      const file = new SimulatedFile(true)
      file.write(0, content)
      file.sync()
      this.#disk.files.set(path, file)
    })
  }

  remove(path: string): Promise<void> {
    return this.#step('remove', path, () => {
      const file = this.#disk.files.get(path)
      if (file === undefined) return
      this.#disk.files.delete(path)
      this.#disk.removed.set(path, file)
    })
  }

  removeFolder(path: string): Promise<void> {
    return this.#step('removeFolder', path, () => {
      const isEmpty = ![...this.#disk.files.keys(), ...this.#disk.folders].some((name) => name.startsWith(`${path}/`))
      if (!isEmpty) throw Object.assign(new Error(`${path} is not empty`), { code: 'ENOTEMPTY' })
      this.#disk.removeFolder(path)
    })
  }

  openRead(path: string): Promise<ReadFile | undefined> {
    return this.#step('openRead', path, () => {
      const file = this.#disk.files.get(path)
      return file === undefined ? undefined : this.#readFile(path, file)
    })
  }

  list(path: string): Promise<readonly string[]> {
    return this.#step('list', path, () => {
      const prefix = `${path}/`
      const names = [...this.#disk.files.keys(), ...this.#disk.folders]
        .filter((name) => name.startsWith(prefix) && !name.slice(prefix.length).includes('/'))
        .map((name) => name.slice(prefix.length))
      return names.toSorted()
    })
  }

  exists(path: string): boolean {
    if (this.#isDead) throw new ProcessDied()
    return this.#disk.files.has(path)
  }

  #logFile(path: string, file: SimulatedFile): LogFile {
    return {
      write: (offset, bytes) =>
        this.#step('write', path, () => {
          this.#take(Math.max(0, offset + bytes.length - file.live.length))
          file.write(offset, bytes)
        }),
      sync: () =>
        this.#step(
          'sync',
          path,
          () => file.sync(),
          () => file.failSync(),
        ),
      truncate: (length) => this.#step('truncate', path, () => file.truncate(length)),
      close: () => Promise.resolve(),
    }
  }

  #readFile(path: string, file: SimulatedFile): ReadFile {
    return {
      size: () => Promise.resolve(file.live.length),
      read: (offset, length) => this.#step('read', path, () => file.live.slice(offset, offset + length)),
      sync: () =>
        this.#step(
          'sync',
          path,
          () => file.sync(),
          () => file.failSync(),
        ),
      close: () => Promise.resolve(),
    }
  }

  async #step<T>(name: StepName, path: string, effect: () => T, onFailure?: () => void): Promise<T> {
    if (this.#isDead) throw new ProcessDied()
    this.#steps += 1
    const fault = await this.#plan({ name, path, number: this.#steps })
    try {
      return this.#strike(fault, { what: `${name} of ${path}`, effect, onFailure })
    } finally {
      if (this.#awake !== undefined) await this.#awake()
    }
  }

  #strike<T>(
    fault: Fault,
    { what, effect, onFailure }: { what: string; effect: () => T; onFailure: (() => void) | undefined },
  ): T {
    if (this.#isDead) {
      if (this.#finishes) effect()
      throw new ProcessDied()
    }
    switch (fault) {
      case 'die-before':
        this.#isDead = true
        throw new ProcessDied()
      case 'die-after':
        this.#isDead = true
        effect()
        throw new ProcessDied()
      case 'fail':
        onFailure?.()
        throw Object.assign(new Error(`${what} failed`), { code: 'EIO' })
      case 'full':
        throw Object.assign(new Error(`no room for ${what}`), { code: 'ENOSPC' })
      case 'none':
        return effect()
    }
  }

  #take(bytes: number): void {
    if (bytes > this.#disk.room) throw Object.assign(new Error('no room'), { code: 'ENOSPC' })
    this.#disk.room -= bytes
  }
}
