/** An ext4 file system in a file, mounted: one whose power can be cut, whose device can fail, and which can be full. */
import { execFile, execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { unmount, type Cleanup, type Undo } from './cleanup.ts'

const run = promisify(execFile)

/**
 * FS_IOC_SHUTDOWN without flushing: from that moment nothing reaches the device any more, also not what the file
 * system's own journal holds. Perl is there on every Debian.
 */
const CUT_POWER = `my $flags = pack("L", 2);
sysopen(my $root, $ARGV[0], 0) or die "open: $!";
ioctl($root, 0x8004587D, $flags) or die "ioctl: $!";`

const BOOKKEEPING_BYTES = 32 * 1024 * 1024

export interface DiskOptions {
  readonly bytes: number
  readonly isFailing?: boolean
}

export class Disk {
  readonly #image: string
  readonly #point: string
  readonly #isFailing: boolean
  readonly #cleanup: Cleanup
  readonly #unmount: Undo = () => {
    try {
      // The next one to get this loop device must not find it slow.
      this.#limitRequests(false)
    } finally {
      unmount(this.#point)
    }
  }

  /** Makes the file system in `folder`; where that is on something that will have no room, `isFailing`. */
  constructor(folder: string, { bytes, isFailing = false }: DiskOptions, cleanup: Cleanup) {
    this.#image = join(folder, 'image')
    this.#point = join(folder, 'disk')
    this.#isFailing = isFailing
    this.#cleanup = cleanup
    fs.mkdirSync(this.#point)
    fs.writeFileSync(this.#image, '')
    fs.truncateSync(this.#image, bytes)
    // The file system's own bookkeeping, its journal too, stands at the beginning, and no block is kept for root.
    const sizes = ['-m', '0', '-b', '4096', '-i', '16384', '-J', 'size=8']
    const extended = ['-E', 'nodiscard,packed_meta_blocks=1,lazy_itable_init=0,lazy_journal_init=0']
    execFileSync('mkfs.ext4', ['-q', '-F', ...sizes, ...extended, this.#image], { stdio: 'pipe' })
    allocate(this.#image, Math.min(bytes, BOOKKEEPING_BYTES))
    this.mount()
  }

  /** For the node; it is on the disk and nothing else is. */
  get dataDir(): string {
    return join(this.#point, 'data')
  }

  mount(): void {
    execFileSync('mount', ['-o', 'loop', this.#image, this.#point], { stdio: 'pipe' })
    this.#cleanup.add(this.#unmount)
    this.#limitRequests(this.#isFailing)
  }

  /** With it goes all that the system remembers of it and the device does not have. */
  remount(): void {
    this.unmount()
    this.mount()
  }

  unmount(): void {
    this.#unmount()
    this.#cleanup.forget(this.#unmount)
  }

  /** Whether something new can be made and kept on it. */
  isWritable(): boolean {
    const path = join(this.#point, 'probe')
    try {
      fs.writeFileSync(path, 'probe', { flush: true })
      fs.rmSync(path)
      return true
    } catch {
      return false
    }
  }

  async cutPower(): Promise<void> {
    await run('perl', ['-e', CUT_POWER, this.#point])
  }

  /** Takes all the room there is, but for `leaving` bytes. */
  async fill(leaving = 0): Promise<void> {
    await fillUp(this.#filler, leaving, this.#point)
  }

  empty(): void {
    fs.rmSync(this.#filler, { force: true })
  }

  get #filler(): string {
    return join(this.#point, 'filler')
  }

  /**
   * A loop device of Linux 6.16 and later takes what its file had room for only a part of for written, so that a sync
   * succeeds whose bytes are nowhere: no log survives that. Requests of one page are written or fail.
   */
  #limitRequests(isLimited: boolean): void {
    const mounts = fs.readFileSync('/proc/mounts', 'utf8').split('\n')
    const device = mounts.find((line) => line.split(' ')[1] === this.#point)?.split(' ')[0] ?? ''
    const queue = `/sys/block/${basename(device)}/queue`
    const kilobytes = isLimited ? '4' : fs.readFileSync(`${queue}/max_hw_sectors_kb`, 'utf8')
    fs.writeFileSync(`${queue}/max_sectors_kb`, kilobytes)
  }
}

/** A small file system in memory. A disk on it has a device without room, once it is full. */
export class Backing {
  readonly folder: string

  constructor(parent: string, bytes: number, cleanup: Cleanup) {
    this.folder = join(parent, 'backing')
    fs.mkdirSync(this.folder)
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', this.folder], { stdio: 'pipe' })
    cleanup.add(() => unmount(this.folder))
  }

  async fill(): Promise<void> {
    await fillUp(this.#filler, 0, this.folder)
  }

  empty(): void {
    fs.rmSync(this.#filler, { force: true })
  }

  get #filler(): string {
    return join(this.folder, 'filler')
  }
}

/** Gives the beginning of a sparse file blocks of its own: whoever writes there later needs no room. */
function allocate(path: string, bytes: number): void {
  const file = fs.openSync(path, 'r+')
  const content = Buffer.alloc(bytes)
  fs.readSync(file, content, 0, bytes, 0)
  fs.writeSync(file, content, 0, bytes, 0)
  fs.closeSync(file)
}

const CHUNK = Buffer.alloc(64 * 1024, 1)

async function fillUp(path: string, leaving: number, point: string): Promise<void> {
  const { bavail, bsize } = await fs.promises.statfs(point)
  const file = await fs.promises.open(path, 'a')
  try {
    for (let room = bavail * bsize - leaving; room > 0 || leaving === 0; room -= CHUNK.length) await file.write(CHUNK)
    await file.datasync()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    await file.close().catch(() => undefined)
  }
}
