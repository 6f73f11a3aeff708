/**
 * A bank over a simulated disk: clients who ask until they are answered, and a worker that dies under them. What the
 * clients saw is checked against the log, by a model that knows nothing of how Penhold works.
 */
import type { CommandMessage, Reply, Sender } from '../../src/actor/message.ts'
import { DEFAULT_ACTOR_LIMITS } from '../../src/actor/limits.ts'
import { Worker } from '../../src/actor/worker.ts'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { hashPlain } from '../../src/aggregate/plain.ts'
import { deriveId, formatId, parseId } from '../../src/log/identity.ts'
import { Log } from '../../src/log/log.ts'
import { RecordKind } from '../../src/log/record.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Plan } from '../../src/testing/simulated-storage.ts'

export interface BankCommand {
  readonly account: number
  readonly name: 'deposit' | 'withdraw' | 'transferIn'
  readonly amount: number
}

export interface BankOptions {
  readonly snapshotEvery: number | false
  readonly segmentBytes: number
}

const SHARDS = 2

function bankAccount(snapshotEvery: number | false) {
  return defineAggregate({
    type: 'account',
    snapshotEvery,
    initialState: () => ({ balance: 0 }),
    events: {
      Deposited: (state, { amount }: { amount: number }) => ({ balance: state.balance + amount }),
      Withdrawn: (state, { amount }: { amount: number }) => ({ balance: state.balance - amount }),
      Noted: (state, _data: { text: string }) => state,
    },
    commands: {
      deposit: (_state, { amount }: { amount: number }, { emit }) => emit.Deposited({ amount }),
      // Two events of one command: they stand in the log both or not at all.
      transferIn: (_state, { amount }: { amount: number }, { emit }) => [
        emit.Deposited({ amount }),
        emit.Noted({ text: 'in' }),
      ],
      withdraw: (state, { amount }: { amount: number }, { emit, reject }) =>
        amount > state.balance ? reject('insufficient-funds', { balance: state.balance }) : emit.Withdrawn({ amount }),
    },
    queries: { balance: (state) => state.balance },
  })
}

export class SimulatedBank {
  readonly disk = new SimulatedDisk()
  readonly clock = new SimulatedClock()
  readonly random: SeededRandom
  readonly commands: readonly BankCommand[]
  /** The first reply to each command that is an answer. */
  readonly replies = new Map<number, Reply>()
  /** Every answer that any process gave. */
  readonly answers: { readonly command: number; readonly reply: Reply }[] = []
  readonly #sent = new Set<number>()
  readonly #options: BankOptions
  readonly #aggregate: ReturnType<typeof bankAccount>

  constructor(commands: readonly BankCommand[], options: BankOptions, seed: number) {
    this.commands = commands
    this.#options = options
    this.#aggregate = bankAccount(options.snapshotEvery)
    this.random = new SeededRandom(seed)
  }

  /** One life of the process: sends what is unanswered, `chunk` commands at a time, until it dies or is done. */
  async live(plan: Plan, chunk: number): Promise<{ steps: number }> {
    const storage = new SimulatedStorage(this.disk, plan)
    let isBroken = false
    try {
      const { worker } = await this.#start(storage, () => (isBroken = true))
      const open = this.commands.map((_, i) => i).filter((i) => !this.replies.has(i))
      for (let at = 0; at < open.length && !isBroken; at += chunk) {
        const messages = open.slice(at, at + chunk).map((i) => this.#message(i))
        worker.receive(this.#sender(), messages)
        this.clock.advance(1)
        // Half of the time the next chunk comes while the one before is still under way.
        if (this.random.chance(0.5)) await turn()
      }
      await turn()
      if (!isBroken && !storage.isDead) await worker.close()
    } catch (error) {
      if (!storage.isDead && !isExpected(error)) throw error
    }
    await turn()
    storage.kill()
    return { steps: storage.steps }
  }

  /** The log as a fresh process finds it: each account's events, and the balance that a query gives. */
  async read(): Promise<{ account: number; events: LoggedEvent[]; balance: unknown }[]> {
    // Indexes are derived: without them the same is found, and nothing that a seal shuts out.
    if (this.random.chance(0.5)) {
      for (const path of this.disk.files.keys()) if (path.endsWith('.idx')) this.disk.files.delete(path)
    }
    const { log, worker } = await this.#start(new SimulatedStorage(this.disk), (error) => {
      throw error
    })
    const accounts = [...new Set(this.commands.map(({ account }) => account))]
    const read = await Promise.all(
      accounts.map(async (account) => ({
        account,
        events: await readEvents(log, account),
        balance: await askBalance(worker, account),
      })),
    )
    await worker.close()
    return read
  }

  commandId(index: number): string {
    return deriveId('command', index)
  }

  async #start(storage: SimulatedStorage, onBroken: (error: unknown) => void): Promise<{ log: Log; worker: Worker }> {
    const { segmentBytes } = this.#options
    const own = Array.from({ length: SHARDS }, (_, shard) => shard)
    const { clock, random } = this
    const log = await Log.open({ storage, clock, clusterId: 'test', shards: SHARDS, own, segmentBytes, node: 'test' })
    for (const error of log.refusedShards.values()) throw error
    const progress = { enter: () => undefined, leave: () => undefined }
    const limits = { ...DEFAULT_ACTOR_LIMITS, activeActorsMax: 2 }
    const aggregates = [this.#aggregate]
    const ports = {
      log,
      clock,
      random,
      progress,
      quarantined: [],
      onWarning: () => undefined,
      onLost: () => undefined,
      onBroken,
    }
    return { log, worker: new Worker({ ...ports, aggregates, limits }) }
  }

  #sender(): Sender {
    return {
      reply: (request, reply) => {
        // What failed without an effect is asked again; everything else is an answer.
        if (reply.kind === 'failed') return
        if (!this.replies.has(request)) this.replies.set(request, reply)
        this.answers.push({ command: request, reply })
      },
      flush: () => undefined,
    }
  }

  #message(index: number): CommandMessage {
    const { account, name, amount } = this.commands[index]!
    const isFresh = !this.#sent.has(index)
    this.#sent.add(index)
    return {
      kind: 'command',
      request: index,
      epoch: 0,
      stream: `account/${account}`,
      name,
      payload: { amount },
      commandId: parseId(this.commandId(index)),
      payloadHash: hashPlain({ amount }, 0),
      isFresh,
      isAgain: !isFresh,
      expectedVersion: -1,
      deadline: Number.POSITIVE_INFINITY,
      after: 0,
      since: 0,
      sentIn: undefined,
      waitsForReactors: false,
      metadata: undefined,
    }
  }
}

export interface LoggedEvent {
  readonly version: number
  readonly type: string
  readonly commandId: string
  readonly position: number
  readonly seq: number
  readonly shard: number
}

async function readEvents(log: Log, account: number): Promise<LoggedEvent[]> {
  const events: LoggedEvent[] = []
  for await (const record of log.back(log.placement.stream(`account/${account}`))) {
    if (record.kind !== RecordKind.event) continue
    const { version, type, position, seq, shard } = record
    events.unshift({ version, type, commandId: formatId(record.commandId), position, seq, shard })
  }
  return events
}

function askBalance(worker: Worker, account: number): Promise<unknown> {
  return new Promise((resolve) => {
    const sender: Sender = {
      reply: (_, answer) => resolve(answer.kind === 'answered' ? answer.value : answer),
      flush: () => undefined,
    }
    const query = { kind: 'query', request: 1, epoch: 0, stream: `account/${account}`, name: 'balance' } as const
    worker.receive(sender, [{ ...query, payload: undefined }])
  })
}

/** Lets everything that can happen without time passing happen. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

export function isExpected(error: unknown): boolean {
  if (error instanceof Error && ['JournalBroken', 'ProcessDied'].includes(error.name)) return true
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown }
  // A shard that is refused because a read failed is served by the next process.
  if (code === 'LogCorrupt' && cause !== undefined) return isExpected(cause)
  return ['EIO', 'ENOSPC', 'StorageFull'].includes(String(code))
}
