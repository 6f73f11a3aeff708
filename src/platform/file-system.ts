/** Of what kind the file system is that a folder is on. */
import fs from 'node:fs'

export interface FileSystem {
  /** As `df -T` prints it; `unknown` where the system does not tell. */
  readonly type: string
  /** How it is mounted. */
  readonly options: readonly string[]
}

/** `mounts` is what Linux says of all mounts. */
export function findFileSystem(folder: string, mounts: string = readMounts()): FileSystem {
  const path = fs.realpathSync(folder)
  let found = { point: '', type: 'unknown', options: '' }
  for (const line of mounts.split('\n')) {
    const [, point = '', type = '', options = ''] = line.split(' ').map(unescaped)
    const isAbove = path === point || path.startsWith(point.endsWith('/') ? point : `${point}/`)
    // What is mounted later hides what was there.
    if (type !== '' && isAbove && point.length >= found.point.length) found = { point, type, options }
  }
  return { type: found.type, options: found.options.split(',') }
}

function readMounts(): string {
  return fs.existsSync('/proc/self/mounts') ? fs.readFileSync('/proc/self/mounts', 'utf8') : ''
}

/** A space is written as `\040`. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
