/**
 * The lock of a data directory: a file that names the process that works in it. It gives clear errors and warnings and
 * nothing more: what keeps two writers apart is the log's claims.
 *
 * A process of this host can be asked whether it lives. One of another host cannot, nor one of another container, in which
 * every node may be process 1 of a host of the same name; and a container may have another host name after each crash. So
 * the holder touches its lock every few seconds, and whoever finds one that was not made here watches it for several times
 * as long. Readings of one file are compared, never the clocks of two machines.
 *
 * Nodes of a cluster share a directory: each has a lock of its own beside the one of a process that is alone. Either makes
 * its own lock first and then looks for those of the other kind, so that one of two at least sees the other.
 */
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { PenholdError } from '../aggregate/error.ts'
import { pause, type Cancel, type Clock } from '../log/clock.ts'
import { isCount } from '../log/count.ts'
import { storageFull } from '../log/error.ts'
import { LOCK_PATH } from '../log/path.ts'
import { isStorageFull } from '../log/storage.ts'
import { directoryUnusable } from './data-directory.ts'

const TOUCH_MS = 2_000
const WATCH_MS = 5 * TOUCH_MS
const LOOK_MS = TOUCH_MS / 4
const ATTEMPTS_MAX = 10

export interface LockOptions {
  readonly dataDir: string
  readonly clock: Clock
  readonly onWarning: (message: string) => void
  /** The id of a node that shares the directory with others. */
  readonly shareAs?: string
}

interface Holder {
  readonly pid: number
  readonly host: string
  /** When the process began, so that another process with the same number is not taken for it. */
  readonly startedAt: string
  /** Among which processes its number is one: a life of a machine, and a container there. Left out by older versions. */
  readonly place?: string
}

/**
 * Takes the directory for this process, or takes a share in it; resolves to what gives it back.
 * @throws PenholdError `DataDirectoryInUse`, with the process that has it; `DataDirectoryUnusable`; `StorageFull`
 */
export async function lockDirectory(options: LockOptions): Promise<() => Promise<void>> {
  const alone = join(options.dataDir, LOCK_PATH)
  const path = join(options.dataDir, options.shareAs === undefined ? LOCK_PATH : shareOf(options.shareAs))
  const own: Holder = { pid: process.pid, host: hostname(), startedAt: startOf(process.pid), place: here() }
  const temporary = `${path}.${randomUUID()}.tmp`
  let file: fs.promises.FileHandle | undefined
  try {
    file = await fs.promises.open(temporary, 'wx', 0o600)
    await file.writeFile(JSON.stringify(own))
    await take(temporary, path, options)
  } catch (error) {
    await file?.close()
    if (error instanceof PenholdError) throw error
    if (isStorageFull(error)) throw storageFull(error)
    throw directoryUnusable(options.dataDir, error)
  } finally {
    fs.rmSync(temporary, { force: true })
  }
  const unlock = hold(file, { path, own, clock: options.clock })
  try {
    await refuseAll(options.shareAs === undefined ? shares(options.dataDir) : [alone], options)
    removeDead(options.dataDir)
    return unlock
  } catch (error) {
    await unlock()
    throw error
  }
}

/** The lock of a node that shares the directory with others, seen from there. */
export function shareOf(member: string): string {
  return `${LOCK_PATH}.${member}`
}

/** The locks of those that share the directory. */
function shares(dataDir: string): string[] {
  const names = fs.readdirSync(dataDir).filter((name) => name.startsWith(`${LOCK_PATH}.`) && !name.endsWith('.tmp'))
  return names.map((name) => join(dataDir, name))
}

/** What killed nodes have left that ran here. */
function removeDead(dataDir: string): void {
  for (const path of shares(dataDir)) {
    const found = readHolder(path)
    const isDead = found.kind === 'holder' && isFromHere(found.holder) && !isAlive(found.holder)
    if (isDead) removeStale(path, found.holder)
  }
}

/** Nobody who is alive may hold one of these. They are watched together, as killed nodes of other hosts have left theirs. */
async function refuseAll(paths: readonly string[], options: LockOptions): Promise<void> {
  const results = await Promise.allSettled(paths.map((path) => refuse(path, options)))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

async function refuse(path: string, options: LockOptions): Promise<void> {
  const found = readHolder(path)
  if (found.kind !== 'holder') return
  if (await isInUse(path, found.holder, options)) throw inUse(options.dataDir, found.holder, path)
  removeStale(path, found.holder)
}

async function take(temporary: string, path: string, options: LockOptions): Promise<void> {
  for (let attempt = 1; !tryLink(temporary, path); attempt += 1) {
    const found = readHolder(path)
    if (found.kind === 'gone') continue
    const holder = found.kind === 'holder' ? found.holder : undefined
    if (holder !== undefined && (attempt > ATTEMPTS_MAX || (await isInUse(path, holder, options)))) {
      throw inUse(options.dataDir, holder, path)
    }
    removeStale(path, holder)
  }
}

async function isInUse(path: string, holder: Holder, { dataDir, clock, onWarning }: LockOptions): Promise<boolean> {
  const { host, pid } = holder
  if (isFromHere(holder)) return isAlive(holder)
  const seen = await watch(path, clock)
  if (seen === 'still') {
    onWarning(
      `${dataDir} is taken over from process ${pid} on ${host}, which has not touched ${path} for ${WATCH_MS / 1000} s. If that process is alive it is superseded: stop it.`,
    )
  }
  return seen === 'touched'
}

/** Touches the lock until it is given back. By its descriptor, so that a lock that somebody else made is left alone. */
function hold(
  file: fs.promises.FileHandle,
  { path, own, clock }: { readonly path: string; readonly own: Holder; readonly clock: Clock },
): () => Promise<void> {
  let stopTouching: Cancel = () => undefined
  const touchLater = (): void => {
    stopTouching = clock.after(TOUCH_MS, () => {
      const now = new Date()
      file.utimes(now, now).catch(() => undefined)
      touchLater()
    })
  }
  touchLater()
  return async () => {
    stopTouching()
    await file.close()
    const found = readHolder(path)
    if (found.kind === 'holder' && isSame(found.holder, own)) fs.rmSync(path, { force: true })
  }
}

async function watch(path: string, clock: Clock): Promise<'touched' | 'gone' | 'still'> {
  const before = touchedAt(path)
  for (let waitedMs = 0; waitedMs < WATCH_MS; waitedMs += LOOK_MS) {
    await pause(clock, LOOK_MS)
    const now = touchedAt(path)
    if (now === undefined) return 'gone'
    if (now !== before) return 'touched'
  }
  return 'still'
}

function touchedAt(path: string): number | undefined {
  return fs.statSync(path, { throwIfNoEntry: false })?.mtimeMs
}

function tryLink(temporary: string, path: string): boolean {
  try {
    fs.linkSync(temporary, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Takes a dead process's lock away, unless somebody else just has and put an own one there. */
function removeStale(path: string, holder: Holder | undefined): void {
  const aside = `${path}.${randomUUID()}.tmp`
  try {
    fs.renameSync(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  const moved = readHolder(aside)
  if (moved.kind === 'holder' && (holder === undefined || !isSame(moved.holder, holder))) tryLink(aside, path)
  fs.unlinkSync(aside)
}

type Found = { readonly kind: 'holder'; readonly holder: Holder } | { readonly kind: 'gone' | 'nonsense' }

/** A lock may hold nonsense after a power loss. One that cannot be read is an error, as nobody knows whose it is. */
function readHolder(path: string): Found {
  let text: string
  try {
    text = fs.readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'gone' }
    throw error
  }
  try {
    const holder: unknown = JSON.parse(text)
    return isHolder(holder) ? { kind: 'holder', holder } : { kind: 'nonsense' }
  } catch {
    return { kind: 'nonsense' }
  }
}

function isHolder(value: unknown): value is Holder {
  const { pid, host, startedAt, place } = (value ?? {}) as Partial<Holder>
  const isPlace = place === undefined || typeof place === 'string'
  return isCount(pid) && pid > 0 && typeof host === 'string' && typeof startedAt === 'string' && isPlace
}

function isSame(a: Holder, b: Holder): boolean {
  return a.pid === b.pid && a.host === b.host && a.startedAt === b.startedAt && a.place === b.place
}

/** Whether its number is that of a process here. */
function isFromHere({ host, place = here() }: Holder): boolean {
  return host === hostname() && place === here()
}

/** Of two that are there at the same time no two have the same; empty where the system does not say. */
function here(): string {
  try {
    const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${boot} ${fs.readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return ''
  }
}

function isAlive({ pid, startedAt }: Holder): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  return startOf(pid) === startedAt
}

/**
 * When a process began, in the system's own count; empty where the system does not say. A process that has ended and
 * that its parent has not asked about yet has no beginning any more.
 */
function startOf(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' || state === 'X' ? 'ended' : (fields[18] ?? '')
  } catch {
    return ''
  }
}

function inUse(dataDir: string, holder: Holder, path: string): PenholdError {
  const { pid, host } = holder
  const isHere = isFromHere(holder)
  const where = isHere || host !== hostname() ? '' : ', another machine or container of that name'
  const elsewhere = isHere ? '' : ` If that host is surely dead, remove ${path}.`
  return new PenholdError(
    'DataDirectoryInUse',
    `${dataDir} is in use by process ${pid} on ${host}${where}. Stop that process, or use another dataDir.${elsewhere}`,
    { outcome: 'none', retryable: true, details: { pid, host, path } },
  )
}
