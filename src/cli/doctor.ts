/** `penhold doctor`: does what a cluster is to run on keep what the cluster promises on top of it? */
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { PenholdError } from '../aggregate/error.ts'
import { examineVolume, type VolumePeer } from '../node/volume-examination.ts'
import { makeDirectory } from '../node/data-directory.ts'
import type { ClusterConfig } from '../node/config.ts'
import { pooled } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { findFileSystem } from '../platform/file-system.ts'
import { startPeerProcess } from '../platform/peer-process.ts'
import { systemClock } from '../platform/system.ts'
import { Exit, type Command } from './command.ts'
import { CONFIG_HELP, findCluster } from './config-file.ts'
import { judgeRedis, judgeVolume, type Check } from './findings.ts'

const REDIS_MS = 3_000
const ROUNDS = 50

export const doctor: Command = {
  summary: 'tries out Redis and the volume',
  help: `Tries out what a node is to run on, and refuses what does not keep its promise: the version and memory policy of Redis,
its clock, and of the volume whether a name is created once and seen at once by a second process, and how long a sync
takes. Makes the data directory where there is none, and a folder in it that it removes again.

  penhold doctor [--config FILE] [--json]

  --config FILE     the cluster ${CONFIG_HELP}
  --json            print one JSON object and nothing else
  --help            print this

What another machine sees cannot be tried out from one: of network file systems it knows by their names and how they are
mounted. Run it on each machine. PENHOLD_REDIS and PENHOLD_DATA_DIR count instead of the config's.

Exit code: 0 nothing is refused, 1 something is, 2 usage.`,
  options: { config: { type: 'string' } },
  async run(values, terminal) {
    const { config } = await findCluster(values['config'], process.env)
    const checks = [...(await checkRedis(config)), ...(await checkVolume(config))]
    if (values['json'] === true) terminal.out(JSON.stringify({ cluster: config.name, dataDir: config.dataDir, checks }))
    else for (const { about, verdict, text } of checks) terminal.out(`${verdict.padEnd(8)} ${about}: ${text}`)
    return checks.some(({ verdict }) => verdict === 'refused') ? Exit.failed : Exit.ok
  },
}

async function checkRedis({ redis }: ClusterConfig): Promise<readonly Check[]> {
  if (redis === undefined) return [{ about: 'redis', verdict: 'good', text: 'none: one process alone' }]
  const { examineRedis } = await import('../platform/redis-examination.ts')
  try {
    return judgeRedis(await examineRedis(redis, REDIS_MS))
  } catch (error) {
    if (!(error instanceof PenholdError) || error.code !== 'LeasesUnavailable') throw error
    return [{ about: 'redis', verdict: 'refused', text: error.message }]
  }
}

async function checkVolume({ dataDir, redis }: ClusterConfig): Promise<readonly Check[]> {
  makeDirectory(dataDir)
  const folder = `doctor-${randomUUID()}`
  fs.mkdirSync(join(dataDir, folder))
  using second = startPeerProcess(dataDir)
  const peer: VolumePeer = {
    exists: async (path) => (await second.ask('exists', path)) === true,
    createExclusive: async (path, content) => (await second.ask('create', path, content)) === true,
    read: async (path) => (await second.ask('read', path)) as Uint8Array,
  }
  try {
    const storage = new FileStorage(dataDir, pooled)
    const monotonic = (): number => systemClock.monotonic()
    const examination = await examineVolume({ storage, peer, folder, rounds: ROUNDS, monotonic })
    return judgeVolume(findFileSystem(dataDir), examination, redis !== undefined)
  } finally {
    fs.rmSync(join(dataDir, folder), { recursive: true, force: true })
  }
}
