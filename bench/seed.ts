/**
 * Writes the big log, straight through src/log and without syncs until the end, in a process of its own:
 *
 *   1. the accounts are opened, one after the other;
 *   2. deposits and withdrawals fall on them at random.
 *
 * Among these, at even distances, stand the events of the long accounts that are spread over the log, and in the
 * middle, all in a row, those of the contiguous ones.
 *
 * It never closes the log. Its parent kills it when it has replied.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { encode } from '../src/log/codec.ts'
import { IdSource } from '../src/log/identity.ts'
import { Log } from '../src/log/log.ts'
import { journalPath, numbersOf } from '../src/log/path.ts'
import { NOWHERE, RecordKind, type Address, type RecordParts } from '../src/log/record.ts'
import { sliceOf, type Slice } from '../src/log/slice.ts'
import type { Storage } from '../src/log/storage.ts'
import type { Stream } from '../src/log/stream.ts'
import { identify } from '../src/node/data-directory.ts'
import { blocking } from '../src/platform/file-calls.ts'
import { FileStorage } from '../src/platform/file-storage.ts'
import { systemClock, systemRandom } from '../src/platform/system.ts'
import { Account } from './account.ts'
import config from './bank.config.ts'
import { childInput, reply } from './child.ts'
import { accountId, LONG_ACCOUNTS, type DatasetFacts, type LongAccount, type SeedInput } from './dataset.ts'
import { createRandom } from './random.ts'
import { say } from './report.ts'

/** As many as W1 has in flight, so that batches have the size that they have there. */
const EVENTS_PER_BATCH = 256
const BATCHES_PER_TURN = 64
const EVENTS_PER_LINE = 1_000_000
const AMOUNT_MAX = 100
const NOTHING = new Uint8Array()
const NO_ID = new Uint8Array(16)
/** What all records have in common; the log gives epoch and seq. */
const COMMON = { epoch: 0, seq: 0, payloadHash: 0, metadata: NOTHING }

const TYPES = {
  AccountOpened: Buffer.from('AccountOpened'),
  MoneyDeposited: Buffer.from('MoneyDeposited'),
  MoneyWithdrawn: Buffer.from('MoneyWithdrawn'),
}

/** The state of every account, by number, in typed arrays: a million objects would slow the writer down. */
class Ledger {
  readonly versions: Uint32Array
  readonly balances: Int32Array
  readonly segments: Uint32Array
  readonly offsets: Uint32Array

  constructor(accounts: number) {
    this.versions = new Uint32Array(accounts)
    this.balances = new Int32Array(accounts)
    this.segments = new Uint32Array(accounts)
    this.offsets = new Uint32Array(accounts)
  }
}

class Seeder {
  readonly #input: SeedInput
  readonly #log: Log
  readonly #ledger: Ledger
  readonly #random = createRandom(1)
  readonly #ids = new IdSource(systemClock, systemRandom)
  readonly #eventId = new Uint8Array(16)
  readonly #commandId = new Uint8Array(16)
  /** The data of each amount, because encoding is not what is measured here. */
  readonly #amounts = Array.from({ length: AMOUNT_MAX + 1 }, (_, amount) => sliceOf(Buffer.from(encode({ amount }))))
  #newest: Address = NOWHERE
  #events = 0
  #pending = 0
  #batches = 0

  constructor(log: Log, input: SeedInput) {
    this.#log = log
    this.#input = input
    this.#ledger = new Ledger(input.plan.aggregates)
  }

  async write(): Promise<DatasetFacts> {
    const { eventsBetween, lastSegmentFill } = this.#input.plan
    const rounds = Math.max(...LONG_ACCOUNTS.map(({ events }) => events))
    let others = 0
    for (let round = 0; round < rounds; round += 1) {
      for (let i = 0; i < eventsBetween; i += 1) await this.#addToOther((others += 1))
      for (const account of LONG_ACCOUNTS) {
        if (!account.isContiguous && round < account.events) await this.#add(this.#numberOf(account))
        if (!account.isContiguous || round !== rounds >>> 1) continue
        for (let i = 0; i < account.events; i += 1) await this.#add(this.#numberOf(account))
      }
    }
    while (this.#newest.offset < lastSegmentFill * config.segmentBytes) await this.#addToOther((others += 1))
    await this.#commit()
    return this.#facts()
  }

  /** Each short-lived account in turn until all are opened, then one at random. */
  #addToOther(count: number): Promise<void> | undefined {
    const accounts = this.#input.plan.aggregates - LONG_ACCOUNTS.length
    return this.#add(count <= accounts ? count - 1 : Math.floor(this.#random() * accounts))
  }

  #numberOf(account: LongAccount): number {
    return this.#input.plan.aggregates - LONG_ACCOUNTS.length + LONG_ACCOUNTS.indexOf(account)
  }

  #longAccount(account: number): LongAccount | undefined {
    return LONG_ACCOUNTS[account - (this.#input.plan.aggregates - LONG_ACCOUNTS.length)]
  }

  /** Adds the account's next event, and now and then a snapshot; writes a batch when it is its time. */
  #add(account: number): Promise<void> | undefined {
    const long = this.#longAccount(account)
    const { type: aggregateType, snapshotEvery, stateVersion } = long?.aggregate ?? Account
    const stream = this.#log.placement.stream(`${aggregateType}/${long?.id ?? accountId(account)}`)
    const { type, data } = this.#decide(account)
    const version = (this.#ledger.versions[account]! += 1)
    this.#ids.write(this.#eventId, 0)
    this.#ids.write(this.#commandId, 0)
    const event = { kind: RecordKind.event, version, typeVersion: 1, eventId: this.#eventId, type, data }
    this.#record(account, stream, { ...event, commandId: sliceOf(this.#commandId) })
    if (snapshotEvery !== false && version % snapshotEvery === 0) {
      const state = sliceOf(encode({ opened: true, balance: this.#ledger.balances[account]! }))
      const snapshot = { kind: RecordKind.snapshot, version, typeVersion: stateVersion, eventId: NO_ID, data: state }
      this.#record(account, stream, { ...snapshot, type: NOTHING, commandId: sliceOf(NO_ID) })
    }
    this.#events += 1
    if (this.#events % EVENTS_PER_LINE === 0) say(`${this.#events.toLocaleString('en')} events written`)
    return (this.#pending += 1) === EVENTS_PER_BATCH ? this.#commit() : undefined
  }

  /** What the account's next event is. Its balance is moved. */
  #decide(account: number): { readonly type: Uint8Array; readonly data: Slice } {
    const { versions, balances } = this.#ledger
    if (versions[account] === 0) return { type: TYPES.AccountOpened, data: sliceOf(encode({ owner: 'a customer' })) }
    const amount = 1 + Math.floor(this.#random() * AMOUNT_MAX)
    const isWithdrawal = balances[account]! >= amount && this.#random() < 0.5
    balances[account]! += isWithdrawal ? -amount : amount
    return { type: isWithdrawal ? TYPES.MoneyWithdrawn : TYPES.MoneyDeposited, data: this.#amounts[amount]! }
  }

  #record(
    account: number,
    stream: Stream,
    parts: Omit<RecordParts, keyof typeof COMMON | 'previous' | 'position' | 'time'>,
  ): void {
    const { segments, offsets } = this.#ledger
    const isFirst = segments[account] === 0
    const previous = { journal: this.#log.journal, segment: segments[account]!, offset: offsets[account]! }
    const time = systemClock.now()
    const position = this.#log.positions.next(time)
    const at = { previous: isFirst ? NOWHERE : previous, position, time }
    this.#newest = this.#log.add(stream, { ...COMMON, ...at, ...parts })
    segments[account] = this.#newest.segment
    offsets[account] = this.#newest.offset
  }

  async #commit(): Promise<void> {
    this.#pending = 0
    if (this.#log.isBatchEmpty) return
    await this.#log.append(this.#log.cut())
    this.#batches += 1
    // Closed segments are indexed in between.
    if (this.#batches % BATCHES_PER_TURN === 0) await systemClock.yield()
  }

  #facts(): DatasetFacts {
    const { aggregates } = this.#input.plan
    const { balances } = this.#ledger
    const sum = balances.reduce((total, balance) => total + balance, 0)
    const longBalances = LONG_ACCOUNTS.map((account) => balances[this.#numberOf(account)]!)
    const bytes = this.#newest.offset + (this.#newest.segment - 1) * config.segmentBytes
    return { events: this.#events, aggregates, bytes, balance: sum, longBalances }
  }
}

async function run(input: SeedInput): Promise<void> {
  // What a batch at a time would have to wait for is waited for once, at the end.
  const storage = new FileStorage(input.dataDir, { ...blocking, dataSync: async () => undefined })
  const { clusterId, shards } = await identify(storage, { ...config, dataDir: input.dataDir })
  const own = Array.from({ length: shards }, (_, shard) => shard)
  const { segmentBytes } = config
  const clock = systemClock
  const log = await Log.open({ storage, clock, clusterId, shards, own, segmentBytes, node: 'seed' })
  const facts = await new Seeder(log, input).write()
  await indexed(storage, log.journal)
  syncAll(join(input.dataDir, journalPath(log.journal)))
  reply(facts)
  // Kept alive until the parent has read it.
  setInterval(() => undefined, 1_000)
}

/** Resolves when all segments but the last have their index, as they have in a log that grew over days. */
async function indexed(storage: Storage, journal: number): Promise<void> {
  for (;;) {
    const names = await storage.list(journalPath(journal))
    if (numbersOf(names, '.idx').length >= numbersOf(names, '.log').length - 1) return
    await systemClock.yield()
  }
}

function syncAll(dir: string): void {
  for (const name of fs.readdirSync(dir)) {
    const file = fs.openSync(join(dir, name), 'r')
    fs.fsyncSync(file)
    fs.closeSync(file)
  }
}

await run(childInput<SeedInput>())
