/**
 * The data directory: whose it is (`cluster.json`), and that one process at a time works in it (`lock`).
 *
 * The lock gives a clear error and nothing more: what keeps two writers apart is the log's claims.
 */
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { PenholdError } from '../aggregate/error.ts'
import { FORMAT_VERSION } from '../log/batch.ts'
import { dataFormat } from '../log/error.ts'
import { CLUSTER_PATH, LOCK_PATH } from '../log/path.ts'
import { readWhole, type Storage } from '../log/storage.ts'
import type { ClusterConfig } from './config.ts'

/** What `cluster.json` says: fixed for the life of the data. */
export interface ClusterIdentity {
  readonly format: number
  readonly clusterId: string
  readonly name: string
  readonly shards: number
}

/** Makes the directory where there is none. @throws PenholdError `DataDirectoryUnusable` */
export function makeDirectory(dataDir: string): void {
  try {
    makeLevels(dataDir)
    fs.accessSync(dataDir, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK)
    if (!fs.statSync(dataDir).isDirectory()) throw new Error('it is a file')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new PenholdError(
      'DataDirectoryUnusable',
      `${dataDir} cannot be used as a data directory (${reason}). Use a folder that this process may write to.`,
      { outcome: 'none', retryable: false, details: { dataDir }, cause: error },
    )
  }
}

/** Level by level, because Node's own recursion does not end where a folder of the system takes no folders. */
function makeLevels(folder: string): void {
  if (tryMake(folder)) return
  makeLevels(dirname(folder))
  if (!tryMake(folder)) throw new Error(`${folder} cannot be made in ${dirname(folder)}`)
}

/** False where the folder above it is missing. */
function tryMake(folder: string): boolean {
  try {
    fs.mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return false
    if (code !== 'EEXIST') throw error
  }
  return true
}

/** Reads the directory's identity, or gives it one. @throws PenholdError `DataFormat` where the data is not this cluster's */
export async function identify(storage: Storage, config: ClusterConfig): Promise<ClusterIdentity> {
  const fresh: ClusterIdentity = {
    format: FORMAT_VERSION,
    clusterId: randomUUID(),
    name: config.name,
    shards: config.shards,
  }
  let content = await readWhole(storage, CLUSTER_PATH)
  if (content === undefined) {
    await storage.createExclusive(CLUSTER_PATH, Buffer.from(`${JSON.stringify(fresh, undefined, 2)}\n`))
    // Another process may have been first: what stands there counts.
    content = await readWhole(storage, CLUSTER_PATH)
  }
  const identity = parse(content ?? new Uint8Array(), config)
  const { format, name, shards } = identity
  const refuse = (problem: string): PenholdError =>
    dataFormat(`${config.dataDir}: ${problem}`, { found: { format, name, shards }, dataDir: config.dataDir })
  if (format !== FORMAT_VERSION) throw refuse(`its format is ${format}, and this Penhold knows ${FORMAT_VERSION}`)
  if (name !== config.name) throw refuse(`it belongs to the cluster '${name}', not to '${config.name}'`)
  if (shards !== config.shards) {
    throw refuse(`it was made with ${shards} shards, which never changes; set shards: ${shards} in the config`)
  }
  return identity
}

function parse(content: Uint8Array, config: ClusterConfig): ClusterIdentity {
  try {
    const identity = JSON.parse(Buffer.from(content).toString('utf8')) as ClusterIdentity
    if (typeof identity.clusterId === 'string' && typeof identity.shards === 'number') return identity
  } catch {
    // Said below, with what to do.
  }
  throw dataFormat(`${join(config.dataDir, CLUSTER_PATH)} is damaged. Restore it from a backup.`, {
    dataDir: config.dataDir,
  })
}

interface LockHolder {
  readonly pid: number
  readonly host: string
  /** When the process began, so that another process with the same number is not taken for it. */
  readonly startedAt: string
}

/**
 * Takes the directory for this process. The returned function gives it back.
 * @throws PenholdError `DataDirectoryInUse`, with the process that has it
 */
export function lockDirectory(dataDir: string): () => void {
  const path = join(dataDir, LOCK_PATH)
  const own: LockHolder = { pid: process.pid, host: hostname(), startedAt: startOf(process.pid) }
  const temporary = `${path}.${randomUUID()}`
  fs.writeFileSync(temporary, JSON.stringify(own), { mode: 0o600 })
  try {
    for (let attempt = 0; !tryLink(temporary, path); attempt += 1) {
      const holder = readHolder(path)
      if (holder !== undefined && (attempt > 9 || isAlive(holder))) throw inUse(dataDir, holder)
      removeStale(path, holder)
    }
  } finally {
    fs.unlinkSync(temporary)
  }
  return () => {
    if (JSON.stringify(readHolder(path)) === JSON.stringify(own)) fs.rmSync(path, { force: true })
  }
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
function removeStale(path: string, holder: LockHolder | undefined): void {
  const aside = `${path}.${randomUUID()}`
  try {
    fs.renameSync(path, aside)
  } catch {
    return
  }
  const moved = readHolder(aside)
  if (moved !== undefined && JSON.stringify(moved) !== JSON.stringify(holder)) tryLink(aside, path)
  fs.unlinkSync(aside)
}

function readHolder(path: string): LockHolder | undefined {
  try {
    return JSON.parse(fs.readFileSync(path, 'utf8')) as LockHolder
  } catch {
    return undefined
  }
}

function isAlive({ pid, host, startedAt }: LockHolder): boolean {
  // A process on another machine cannot be asked. Its claims decide, not this file.
  if (host !== hostname()) return false
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

function inUse(dataDir: string, { pid, host }: LockHolder): PenholdError {
  return new PenholdError(
    'DataDirectoryInUse',
    `${dataDir} is in use by process ${pid} on ${host}. Stop that process, or use another dataDir.`,
    { outcome: 'none', retryable: true, details: { pid, host } },
  )
}
