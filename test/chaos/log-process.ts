/**
 * Reads a bank's log in a fresh process, twice: as a node shows its accounts, and event by event. Both take the shards
 * over as any successor does.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { startNode } from '../../src/index.ts'
import { formatId } from '../../src/log/identity.ts'
import { Log } from '../../src/log/log.ts'
import { metadataOf } from '../../src/log/recorded-event.ts'
import { CLUSTER_PATH } from '../../src/log/path.ts'
import { RecordKind, type LogRecord } from '../../src/log/record.ts'
import { isInternal } from '../../src/log/stream.ts'
import { verify } from '../../src/log/verify/verify.ts'
import { blocking } from '../../src/platform/file-calls.ts'
import { FileStorage } from '../../src/platform/file-storage.ts'
import { systemClock } from '../../src/platform/system.ts'
import { Account, moved, NEW_ACCOUNT, type AccountState, type Movement } from './account.ts'
import { bucketsOf } from '../simulation/reactors/timed.ts'
import type { FromLogReader, StreamOfFacts, ToLogReader } from './message.ts'
import { idOf } from './reactions/consequences.ts'
import type { Fact } from './reactions/facts.ts'
import { TICKS, timerOf } from './reactions/kinds.ts'
import { openBuckets, streamsOf, transfersOf } from './reactions/streams.ts'

type Shown = FromLogReader['shown'][number]
type Read = Pick<FromLogReader, 'events' | 'others'>
type Streams = readonly StreamOfFacts[]

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

async function readLog({ dataDir, accounts, hasReactions }: ToLogReader): Promise<Read> {
  const { clusterId, shards } = identityOf(dataDir)
  const own = Array.from({ length: shards }, (_, shard) => shard)
  const storage = new FileStorage(dataDir, blocking)
  const segmentBytes = 128 * 1024
  const log = await Log.open({ storage, clock: systemClock, clusterId, shards, own, segmentBytes, node: 'reader' })
  const events = await readStreams(
    log,
    accounts.map((account) => `${Account.type}/${account}`),
  )
  const others = hasReactions ? await readOthers(log, accounts, events) : []
  await log.close()
  return {
    events: events.map(([stream, facts]) => [stream, withDigests(stream, facts)]),
    others: others.map(([stream, facts]) => [stream, facts.map((fact) => withoutBulk(stream, fact))]),
  }
}

/** All that nodes have left behind who reacted to accounts. */
async function readOthers(log: Log, accounts: readonly string[], events: Streams): Promise<Streams> {
  const { placement } = log
  const transfers = events.flatMap(([stream, facts]) => transfersOf(idOf(stream), facts))
  const read = new Map(await readStreams(log, [...streamsOf(placement, accounts), ...transfers]))
  const shards = Array.from({ length: placement.shards }, (_, shard) => shard)
  const buckets = shards.flatMap((shard) => {
    const opened = read.get(openBuckets(placement, shard)) ?? []
    return opened.flatMap(({ data }) => bucketsOf(placement, shard, data))
  })
  return [...read, ...(await readStreams(log, buckets))]
}

async function readStreams(log: Log, streams: readonly string[]): Promise<Streams> {
  const read: [string, Fact[]][] = []
  for (const stream of streams) {
    try {
      read.push([stream, await readStream(log, stream)])
    } catch (error) {
      problems.push(`${stream} cannot be read: ${String(error)}`)
    }
  }
  return read
}

function identityOf(dataDir: string): { readonly clusterId: string; readonly shards: number } {
  return JSON.parse(fs.readFileSync(join(dataDir, CLUSTER_PATH), 'utf8')) as ReturnType<typeof identityOf>
}

async function readStream(log: Log, stream: string): Promise<Fact[]> {
  const records = await Array.fromAsync(log.back(log.placement.stream(stream)))
  return records
    .toReversed()
    .filter(({ kind }) => kind === RecordKind.event)
    .map(factOf)
}

function factOf(record: LogRecord): Fact {
  const { version, position, shard, seq, epoch, type, data, time } = record
  const owner = { epoch, journal: record.address.journal }
  const id = formatId(record.eventIdSlice)
  return { ...metadataOf(record), id, type, data, time, version, position, shard, seq, owner }
}

/** An account's events, each with a digest of all up to it. What they say is in that. */
function withDigests(stream: string, facts: readonly Fact[]): Fact[] {
  let state: AccountState = NEW_ACCOUNT
  return facts.map((fact) => {
    state = moved(state, fact.data as Movement)
    if (state.balance < 0) problems.push(`${stream} is overdrawn at version ${fact.version}`)
    return { ...fact, data: undefined, digest: state.digest }
  })
}

/** What nobody looks at stays here: records of Penhold's own but those of timers and schedules, and events that processes were told. */
function withoutBulk(stream: string, fact: Fact): Fact {
  const isWanted = !isInternal(stream) || stream === TICKS || stream.startsWith(timerOf(''))
  return isWanted && fact.type !== '$told' ? fact : { ...fact, data: undefined }
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
    const read = isMade ? await readLog(job) : { events: [], others: [] }
    const told: FromLogReader = { shown, ...read, problems }
    process.send?.(told, () => process.disconnect())
  })()
})
process.on('disconnect', () => process.exit())
