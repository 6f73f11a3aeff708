/** The data directory: that it is there, and whose it is (`cluster.json`). Who works in it is directory-lock.ts's. */
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { PenholdError } from '../aggregate/error.ts'
import { FORMAT_VERSION } from '../log/batch.ts'
import { isCount } from '../log/count.ts'
import { dataFormat } from '../log/error.ts'
import { CLUSTER_PATH } from '../log/path.ts'
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
    throw directoryUnusable(dataDir, error)
  }
}

export function directoryUnusable(dataDir: string, cause: unknown): PenholdError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PenholdError(
    'DataDirectoryUnusable',
    `${dataDir} cannot be used as a data directory (${reason}). Use a folder that this process may write to.`,
    { outcome: 'none', retryable: false, details: { dataDir }, cause },
  )
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
    const { format, clusterId, name, shards } = identity
    if (isCount(format) && typeof clusterId === 'string' && typeof name === 'string' && isCount(shards)) return identity
  } catch {
    // Said below, with what to do.
  }
  throw dataFormat(`${join(config.dataDir, CLUSTER_PATH)} is damaged. Restore it from a backup.`, {
    dataDir: config.dataDir,
  })
}
