/** What the figures were measured on. */
import fs from 'node:fs'
import os from 'node:os'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly kernel: string
  readonly node: string
  readonly fileSystem: string
}

/** `dir` is on the file system that is measured. */
export function describeMachine(dir: string): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()}`,
    node: process.version,
    fileSystem: fileSystemOf(fs.realpathSync(dir)),
  }
}

/** The type of the mount that the folder is in; the system's number for it where there is no table of mounts. */
function fileSystemOf(dir: string): string {
  try {
    const mounts = fs.readFileSync('/proc/mounts', 'utf8').split('\n')
    const inside = mounts
      .map((line) => line.split(' '))
      .filter(([, mount]) => mount !== undefined && `${dir}/`.startsWith(mount === '/' ? '/' : `${mount}/`))
      .toSorted(([, a], [, b]) => a!.length - b!.length)
    const type = inside.at(-1)?.[2]
    if (type !== undefined) return type
  } catch {
    // Said below, by number.
  }
  return `type 0x${fs.statfsSync(dir).type.toString(16)}`
}
