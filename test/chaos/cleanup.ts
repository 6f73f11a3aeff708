/**
 * What must be undone, whatever happens: processes, mounts, folders. All of it is synchronous, so that it can be done
 * while the process exits.
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Undo = () => void

export class Cleanup {
  readonly #undos = new Set<Undo>()
  readonly #onExit = (): void => this.run()

  constructor() {
    process.once('exit', this.#onExit)
  }

  add(undo: Undo): void {
    this.#undos.add(undo)
  }

  /** It was undone already. */
  forget(undo: Undo): void {
    this.#undos.delete(undo)
  }

  /** Undoes all, the last first. What cannot be undone does not keep the rest. */
  run(): void {
    process.off('exit', this.#onExit)
    for (const undo of [...this.#undos].reverse()) {
      this.#undos.delete(undo)
      try {
        undo()
      } catch (error) {
        process.stderr.write(`cleaning up: ${String(error)}\n`)
      }
    }
  }
}

const PREFIX = 'penhold-chaos-'

/** A folder for one run, named after this process, and the removal of those whose process could not clean up. */
export function makeFolder(cleanup: Cleanup, parent: string = tmpdir()): string {
  for (const name of fs.readdirSync(parent)) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length).split('-')[0]) : Number.NaN
    if (Number.isInteger(pid) && !fs.existsSync(`/proc/${pid}`)) maybeRemoveFolder(join(parent, name))
  }
  const folder = fs.mkdtempSync(join(parent, `${PREFIX}${process.pid}-`))
  cleanup.add(() => removeFolder(folder))
  return folder
}

/** It may be somebody else's. */
function maybeRemoveFolder(folder: string): void {
  try {
    removeFolder(folder)
  } catch {
    // Whoever may remove it will.
  }
}

/** Unmounts what is mounted in it first: removing must never reach into a file system that is still there. */
function removeFolder(folder: string): void {
  for (const point of mountsIn(folder).reverse()) unmount(point)
  fs.rmSync(folder, { recursive: true, force: true })
}

function mountsIn(folder: string): string[] {
  if (!fs.existsSync('/proc/mounts')) return []
  const points = fs.readFileSync('/proc/mounts', 'utf8').split('\n')
  return points.map((line) => line.split(' ')[1] ?? '').filter((point) => point.startsWith(`${folder}/`))
}

const TRIES = 50

/** A process that was killed a moment ago may still hold a file open. */
export function unmount(point: string): void {
  const sleep = new Int32Array(new SharedArrayBuffer(4))
  for (let attempt = 1; ; attempt += 1) {
    try {
      execFileSync('umount', attempt < TRIES ? [point] : ['--lazy', point], { stdio: 'pipe' })
      return
    } catch (error) {
      if (attempt >= TRIES) throw error
      Atomics.wait(sleep, 0, 0, 50)
    }
  }
}
