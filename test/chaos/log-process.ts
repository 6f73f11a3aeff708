/**
 * Reads a bank's log in a fresh process, twice: as a node shows its accounts, and event by event. Both take the shards
 * over as any successor does.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { startNode } from '../../src/index.ts'
import { formatId } from '../../src/log/identity.ts'
import { Log } from '../../src/log/log.ts'
import { CLUSTER_PATH } from '../../src/log/path.ts'
import { RecordKind } from '../../src/log/record.ts'
import { verify } from '../../src/log/verify/verify.ts'
import { blocking } from '../../src/platform/file-calls.ts'
import { FileStorage } from '../../src/platform/file-storage.ts'
import { systemClock } from '../../src/platform/system.ts'
import type { LoggedEvent } from '../checker/history.ts'
import { Account, moved, NEW_ACCOUNT, type AccountState, type Movement } from './account.ts'
import type { FromLogReader, ToLogReader } from './message.ts'

type Shown = FromLogReader['shown'][number]
type Events = FromLogReader['events'][number]

const problems: string[] = []

async function readThroughNode({ dataDir, accounts }: ToLogReader): Promise<Shown[]> {
  const { shards } = identityOf(dataDir)
  const config = new URL('bank.config.ts', import.meta.url)
  await using node = await startNode(config, { dataDir, workers: 'inline', shards })
  const { workers } = await node.status()
  for (const worker of workers) {
    for (const { shard, reason } of worker?.refused ?? []) problems.push(`shard ${shard} is refused: ${reason}`)
  }
  const shown = accounts.map(async (account): Promise<Shown | undefined> => {
    const ref = node.ref(Account, account)
    try {
      return [ref.stream, await ref.query('look')]
    } catch (error) {
      problems.push(`${ref.stream} cannot be shown: ${String(error)}`)
    }
  })
  return (await Promise.all(shown)).filter((pair) => pair !== undefined)
}

async function readLog({ dataDir, accounts }: ToLogReader): Promise<Events[]> {
  const { clusterId, shards } = identityOf(dataDir)
  const own = Array.from({ length: shards }, (_, shard) => shard)
  const storage = new FileStorage(dataDir, blocking)
  const segmentBytes = 128 * 1024
  const log = await Log.open({ storage, clock: systemClock, clusterId, shards, own, segmentBytes, node: 'reader' })
  const read: Events[] = []
  for (const account of accounts) {
    const stream = `${Account.type}/${account}`
    try {
      read.push([stream, await readStream(log, stream)])
    } catch (error) {
      problems.push(`${stream} cannot be read: ${String(error)}`)
    }
  }
  await log.close()
  return read
}

function identityOf(dataDir: string): { readonly clusterId: string; readonly shards: number } {
  return JSON.parse(fs.readFileSync(join(dataDir, CLUSTER_PATH), 'utf8')) as ReturnType<typeof identityOf>
}

async function readStream(log: Log, stream: string): Promise<LoggedEvent[]> {
  const records = await Array.fromAsync(log.back(log.placement.stream(stream)))
  let state: AccountState = NEW_ACCOUNT
  return records
    .toReversed()
    .filter(({ kind }) => kind === RecordKind.event)
    .map((record) => {
      state = moved(state, record.data as Movement)
      if (state.balance < 0) problems.push(`${stream} is overdrawn at version ${record.version}`)
      const { version, position, shard, seq, epoch } = record
      const owner = { epoch, journal: record.address.journal }
      return { version, position, shard, seq, owner, commandId: formatId(record.commandId), digest: state.digest }
    })
}

/**
 * What `penhold verify` takes for damage, though nothing was damaged: it looks at all that was ever written, and knows an
 * epoch with two writers also where none of what the second one wrote counts. Indexes are not synced, and made again.
 */
async function findDamage({ dataDir }: ToLogReader): Promise<void> {
  const { findings } = await verify({ storage: new FileStorage(dataDir, blocking), clock: systemClock })
  for (const { severity, file, offset, problem } of findings.kept) {
    if (severity !== 'damage' || file.endsWith('.idx')) continue
    problems.push(`verify finds damage in ${file} at byte ${offset}: ${problem}`)
  }
}

function dropIndexes(dataDir: string): void {
  for (const path of fs.globSync(join(dataDir, 'journals/*/*.idx'))) fs.rmSync(path)
}

process.on('message', (job: ToLogReader) => {
  void (async () => {
    // There is nothing to read where no node came so far as to give the directory an identity.
    const isMade = fs.existsSync(join(job.dataDir, CLUSTER_PATH))
    // Before anything is taken over, and without the help of what the reading below stands on.
    if (isMade) await findDamage(job)
    if (job.dropsIndexes) dropIndexes(job.dataDir)
    const shown = isMade ? await readThroughNode(job) : []
    const events = isMade ? await readLog(job) : []
    const told: FromLogReader = { shown, events, problems }
    process.send?.(told, () => process.disconnect())
  })()
})
process.on('disconnect', () => process.exit())
