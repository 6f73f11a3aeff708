/** The data directory: that it is there, and whose it is (`cluster.json`). Who works in it is directory-lock.ts's. */
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { PenholdError } from '../aggregate/error.ts'
import { FORMAT_VERSION } from '../log/batch.ts'
import { decodeIdentity, encodeIdentity, type ClusterIdentity } from '../log/cluster-identity.ts'
import { dataFormat } from '../log/error.ts'
import { CLUSTER_PATH, JOURNALS_PATH, SHARDS_PATH, UNFINISHED_PATH } from '../log/path.ts'
import { readWhole, type Storage } from '../log/storage.ts'
import type { ClusterConfig } from './config.ts'

/** Makes the directory where there is none. @throws PenholdError `DataDirectoryUnusable` */
export function makeDirectory(dataDir: string): void {
  try {
    makeLevels(dataDir)
    if (!fs.statSync(dataDir).isDirectory()) throw new Error('it is a file')
    fs.accessSync(dataDir, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK)
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
    await refuseOrphans(storage, config)
    await storage.createExclusive(CLUSTER_PATH, encodeIdentity(fresh))
    // Another process may have been first: what stands there counts.
    content = await readWhole(storage, CLUSTER_PATH)
  }
  const identity = parse(content ?? new Uint8Array(), config)
  const { format, name, shards } = identity
  const refuse = (problem: string): PenholdError =>
    dataFormat(`${config.dataDir}: ${problem}`, { found: { format, name, shards }, dataDir: config.dataDir })
  if (format !== FORMAT_VERSION) throw refuse(`its format is ${format}, and this Penhold knows ${FORMAT_VERSION}`)
  if (name !== config.name) {
    throw refuse(`it belongs to the cluster '${name}'; set name: '${name}' in the config, or another dataDir`)
  }
  if (shards !== config.shards) {
    throw refuse(`it was made with ${shards} shards, which never changes; set shards: ${shards} in the config`)
  }
  return identity
}

/**
 * That a worker which has opened its log has opened it in the data that the node was started on: where a volume was taken
 * away under the node, another directory stands at its place, and an empty log.
 * @throws PenholdError `DataFormat`
 */
export async function checkIdentity(storage: Storage, { dataDir }: ClusterConfig, clusterId: string): Promise<void> {
  const content = await readWhole(storage, CLUSTER_PATH)
  if (content !== undefined && decodeIdentity(content)?.clusterId === clusterId) return
  throw dataFormat(`${dataDir} is not the data any more that this node was started on. Bring its volume back.`, {
    dataDir,
    clusterId,
  })
}

/** Data without its `cluster.json` is nobody's: a new identity would hide what is there behind an empty cluster. */
async function refuseOrphans(storage: Storage, config: ClusterConfig): Promise<void> {
  if (storage.exists(UNFINISHED_PATH)) {
    throw dataFormat(
      `${config.dataDir} is being restored, or was and not to its end. Where nobody is at it any more, remove it, and restore again.`,
      { dataDir: config.dataDir },
    )
  }
  for (const folder of [JOURNALS_PATH, SHARDS_PATH]) {
    const found = await storage.list(folder)
    // Another process may just have made all of it.
    if (found.length === 0 || (await readWhole(storage, CLUSTER_PATH)) !== undefined) continue
    throw dataFormat(
      `${config.dataDir} has data (${folder}/${found[0]} …) and no ${CLUSTER_PATH}, which says whose it is. Restore ${CLUSTER_PATH} from a backup, or name an empty folder as dataDir.`,
      { dataDir: config.dataDir },
    )
  }
}

function parse(content: Uint8Array, { dataDir }: ClusterConfig): ClusterIdentity {
  const identity = decodeIdentity(content)
  if (identity !== undefined) return identity
  throw dataFormat(
    `${join(dataDir, CLUSTER_PATH)} is not what was written. Run 'penhold verify', or restore it from a backup.`,
    { dataDir },
  )
}
