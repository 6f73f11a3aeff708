import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Reply } from '../../src/actor/message.ts'
import { storageFull } from '../../src/log/error.ts'
import { deriveId, formatId, parseId } from '../../src/log/identity.ts'
import type { Log } from '../../src/log/log.ts'
import { RecordKind } from '../../src/log/record.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import type { Plan } from '../../src/testing/simulated-storage.ts'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { Account } from '../account.ts'
import { deposit, open, type Harness } from './harness.ts'
import { inTime } from '../in-time.ts'

const ACCOUNTS = ['account/0', 'account/1', 'account/2', 'account/3']

const LIMITS = { segmentBytes: 16_384 }

/** Some workers over one disk, none of which owns anything yet. */
class Crew {
  readonly disk = new SimulatedDisk()
  readonly clock = new SimulatedClock()
  readonly workers: Harness[] = []
  readonly acknowledged = new Map<string, Reply & { readonly kind: 'accepted' }>()
  readonly underWay: Promise<void>[] = []
  /** Replies that left open whether the command took effect. */
  doubts = 0
  /** Rejects where a worker breaks. */
  readonly broken: Promise<never>
  #break: (error: unknown) => void = () => undefined
  readonly #random: SeededRandom
  #asked = 0

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    this.broken = new Promise((_, reject) => (this.#break = reject))
  }

  async start(workers: number): Promise<void> {
    for (let i = 0; i < workers; i += 1) {
      const plan = async (): Promise<'none'> => (await turns(this.#random.below(4)), 'none')
      this.workers.push(await open(this.disk, this.clock, { ...LIMITS, own: [], plan, onBroken: this.#break }))
    }
  }

  /** Asks whoever owns the account's shard, one worker after the other, until one has answered. */
  ask(account: string, first: number): void {
    const commandId = parseId(deriveId('asked', (this.#asked += 1)))
    const amount = this.#asked
    this.underWay.push(
      (async () => {
        for (let i = 0; i < 400; i += 1) {
          const worker = this.workers[(first + i) % this.workers.length]!
          const again = { isFresh: i === 0, isAgain: i > 0 }
          const reply = await worker.ask({ ...deposit(account, amount), ...again, commandId })
          if (reply.kind === 'accepted') this.acknowledged.set(formatId(commandId), reply)
          if (reply.kind === 'accepted') return
          if (reply.kind === 'failed') this.doubts += 1
          const isElsewhere =
            reply.kind === 'failed' ? reply.failure.code === 'OwnershipLost' : reply.kind === 'elsewhere'
          expect(isElsewhere, JSON.stringify(reply)).toBe(true)
          await turns(1 + (i % 5))
        }
      })(),
    )
  }

  /** What was acknowledged is in the log, once, at the version that was told; versions count without a gap (I2, I4, I5). */
  async check(): Promise<void> {
    await Promise.race([Promise.all(this.underWay), this.broken])
    const heir = await open(this.disk, this.clock, LIMITS)
    const found = new Map<string, number>()
    for (const account of ACCOUNTS) {
      const records = await Array.fromAsync(heir.log.back(heir.log.placement.stream(account)))
      const events = records.filter(({ kind }) => kind === RecordKind.event).reverse()
      expect(events.map(({ version }) => version)).toEqual(events.map((_, i) => i + 1))
      for (const event of events) {
        expect(found.has(formatId(event.commandId)), 'a command took effect twice').toBe(false)
        found.set(formatId(event.commandId), event.version)
      }
      const balance = events.reduce((sum, { data }) => sum + (data as { amount: number }).amount, 0)
      expect(await heir.query(account, 'balance')).toEqual({ kind: 'answered', value: balance })
    }
    for (const [id, { version }] of this.acknowledged) expect(found.get(id)).toBe(version)
  }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise<void>((resolve) => void setImmediate(resolve))
}

type Step =
  | { readonly kind: 'ask'; readonly account: number; readonly worker: number; readonly times: number }
  | { readonly kind: 'hand-off'; readonly shard: number; readonly from: number; readonly to: number }
  | { readonly kind: 'seize'; readonly shard: number; readonly worker: number }
  | { readonly kind: 'roll-over'; readonly worker: number }
  | { readonly kind: 'wait'; readonly turns: number }

const number = fc.nat({ max: 2 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      account: fc.nat(3),
      worker: number,
      times: fc.integer({ min: 1, max: 20 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('hand-off' as const), shard: fc.nat(1), from: number, to: number }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('seize' as const), shard: fc.nat(1), worker: number }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('roll-over' as const), worker: number }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), turns: fc.integer({ min: 1, max: 30 }) }) },
)

async function perform(crew: Crew, doing: Step, moves: Promise<unknown>[]): Promise<void> {
  const { workers } = crew
  switch (doing.kind) {
    case 'ask':
      for (let i = 0; i < doing.times; i += 1) crew.ask(ACCOUNTS[doing.account]!, doing.worker)
      break
    case 'hand-off': {
      const [from, to] = [workers[doing.from]!, workers[doing.to]!]
      const leaving = from.worker.moves.release([doing.shard], 1000)
      moves.push(leaving.then(() => (from.log.owns(doing.shard) ? [] : to.worker.moves.takeOver([doing.shard]))))
      break
    }
    case 'seize':
      moves.push(workers[doing.worker]!.worker.moves.takeOver([doing.shard]))
      break
    case 'roll-over':
      moves.push(workers[doing.worker]!.worker.moves.prepareRelease())
      break
    case 'wait':
      await turns(doing.turns)
  }
}

test('shards that move, come back and are seized under load lose nothing and do nothing twice (I1, I2, I4, I5)', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), fc.nat(), async (steps, seed) => {
      const crew = new Crew(seed)
      await crew.start(3)
      await crew.workers[0]!.worker.moves.takeOver([0, 1])
      const moves: Promise<unknown>[] = []
      for (const doing of steps) await perform(crew, doing, moves)
      await Promise.race([Promise.all(moves), crew.broken])
      // Somebody owns everything in the end, so that all that was asked finds an owner.
      await crew.workers[0]!.worker.moves.takeOver([0, 1])
      await crew.check()
    }),
    { numRuns: Number(process.env['PENHOLD_RUNS'] ?? 60), ...inTime() },
  )
}, 120_000)

test('a hand-off leaves nobody in doubt, and hot aggregates with a snapshot', async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const crew = new Crew(seed)
    await crew.start(2)
    const [near, far] = crew.workers as [Harness, Harness]
    await near.worker.moves.takeOver([0, 1])
    for (let i = 0; i < 120; i += 1) crew.ask(ACCOUNTS[i % 4]!, 0)
    await turns(seed)
    await near.worker.moves.prepareRelease()
    await near.worker.moves.release([0, 1], 10_000)
    expect(near.log.ownedShards).toEqual([])
    expect(await far.worker.moves.takeOver([0, 1])).toEqual([0, 1])
    await Promise.all(crew.underWay)
    expect(crew.doubts).toBe(0)
    await crew.check()
  }
})

test('snapshots are written while a shard that leaves is served: whoever asks meanwhile is answered', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  let gate: Promise<'none'> | undefined
  const plan: Plan = ({ name }) => (name === 'sync' && gate !== undefined ? gate : 'none')
  const worker = await open(disk, clock, { ...LIMITS, own: [0, 1], plan })
  const stream = worker.log.placement.stream('account/1')
  for (let i = 1; i <= 20; i += 1) await worker.ask(deposit('account/1', 1))
  const opening = Promise.withResolvers<'none'>()
  gate = opening.promise
  const releasing = worker.worker.moves.release([stream.shard], 1_000)
  await turns(5)
  const asked = worker.ask(deposit('account/1', 1))
  gate = undefined
  opening.resolve('none')
  expect(await asked).toMatchObject({ kind: 'accepted', version: 21 })
  await releasing
  const heir = await open(disk, clock, { ...LIMITS, own: [stream.shard] })
  const records = await Array.fromAsync(heir.log.back(heir.log.placement.stream('account/1')))
  const snapshots = records.filter(({ kind }) => kind === RecordKind.snapshot)
  expect(snapshots.map(({ version }) => version)).toEqual([20])
})

/** A worker whose log is held up for as long as somebody wants, and then finds room for a batch or not. */
async function openWithRoom(): Promise<Harness & { room: Promise<boolean> }> {
  const given = { room: Promise.resolve(true) }
  const tweak = (log: Log): void => {
    const append = log.append.bind(log)
    log.append = async (cut) => {
      if (!(await given.room)) throw storageFull(new Error('no room'))
      await append(cut)
    }
  }
  const harness = await open(new SimulatedDisk(), new SimulatedClock(), {
    ...LIMITS,
    tweak,
    aggregates: [Account, Text],
  })
  return Object.assign(given, harness)
}

const Text = defineAggregate({
  type: 'text',
  initialState: () => 0,
  events: { Written: (state, _data: { text: string }) => state + 1 },
  commands: { write: (_state, { text }: { text: string }, { emit }) => emit.Written({ text }) },
})

test('a snapshot that finds no room leaves no trace: what comes before the shard has left stands on what is durable', async () => {
  const bank = await openWithRoom()
  for (let i = 1; i <= 20; i += 1) await bank.ask(deposit('account/1', 1))
  await bank.ask(deposit('account/2', 1))
  const gate = Promise.withResolvers<boolean>()
  bank.room = gate.promise
  let last: Promise<Reply> | undefined
  const failed = bank.ask(deposit('account/2', 1)).then((reply) => {
    last = bank.ask(deposit('account/1', 1))
    return reply
  })
  await turns(1)
  const released = bank.worker.moves.release([0, 1], 1_000)
  gate.resolve(false)
  bank.room = Promise.resolve(true)
  expect(await failed).toMatchObject({ failure: { code: 'StorageFull' } })
  const reply = await last
  await released
  await bank.worker.moves.takeOver([0, 1])
  const value = reply?.kind === 'accepted' ? 21 : 20
  expect(await bank.query('account/1', 'balance')).toEqual({ kind: 'answered', value })
})

test('what waits for room in a batch goes on when the batch is rolled back', async () => {
  const bank = await openWithRoom()
  const gate = Promise.withResolvers<boolean>()
  bank.room = gate.promise
  const write = (text: string): Promise<Reply> => bank.ask({ stream: 'text/1', name: 'write', payload: { text } })
  const first = write('first')
  await turns(1)
  const others = Array.from({ length: 5 }, () => write('x'.repeat(900_000)))
  await turns(1)
  expect(bank.log.isBatchFull).toBe(true)
  const marked = bank.worker.tails.above(bank.log.positions.last + 1_000)
  gate.resolve(false)
  expect((await Promise.all([first, ...others])).every(({ kind }) => kind === 'failed')).toBe(true)
  await expect(marked).rejects.toMatchObject({ code: 'StorageFull' })
})

test('a shard leaves though its aggregates cannot have the snapshots that they are worth', async () => {
  const Seen = defineAggregate({
    type: 'seen',
    initialState: () => ({ seen: new Set<number>() }),
    events: { Seen: ({ seen }, { item }: { item: number }) => ({ seen: new Set([...seen, item]) }) },
    commands: { see: (_state, { item }: { item: number }, { emit }) => emit.Seen({ item }) },
  })
  const worker = await open(new SimulatedDisk(), new SimulatedClock(), { ...LIMITS, aggregates: [Seen] })
  for (let item = 1; item <= 20; item += 1) await worker.ask({ stream: 'seen/1', name: 'see', payload: { item } })
  await worker.worker.moves.release([0, 1], 1_000)
  expect(worker.log.ownedShards).toEqual([])
  expect(worker.warnings).toHaveLength(1)
})

test('what is busy when its shard is to leave gets its snapshot once everybody is answered', async () => {
  const bank = await openWithRoom()
  const gate = Promise.withResolvers<boolean>()
  bank.room = gate.promise
  const asked = Array.from({ length: 20 }, () => bank.ask(deposit('account/1', 1)))
  await turns(1)
  const released = bank.worker.moves.release([0, 1], 1_000)
  await turns(1)
  gate.resolve(true)
  expect((await Promise.all(asked)).every(({ kind }) => kind === 'accepted')).toBe(true)
  await released
  await bank.worker.moves.takeOver([0, 1])
  const records = await Array.fromAsync(bank.log.back(bank.log.placement.stream('account/1')))
  expect(records.filter(({ kind }) => kind === RecordKind.snapshot).map(({ version }) => version)).toEqual([20])
})

test('what was sent to an owner in one epoch is not taken up in another, be it a command or a question', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  const first = await open(disk, clock, { ...LIMITS, own: [0, 1] })
  const { shard } = first.log.placement.stream('account/1')
  const elsewhere = { kind: 'elsewhere', shard }
  const accepted = { kind: 'accepted' }
  expect(await first.ask({ ...deposit('account/1', 1), epoch: 2 })).toEqual(elsewhere)
  expect(await first.ask({ ...deposit('account/1', 1), epoch: 1 })).toMatchObject(accepted)
  expect(await first.ask({ ...deposit('account/1', 1), epoch: 2 })).toEqual(elsewhere)
  await first.worker.moves.release([shard], 1_000)
  expect(await first.ask({ ...deposit('account/1', 1), epoch: 1 })).toEqual(elsewhere)
  await first.worker.moves.takeOver([shard])
  expect(first.log.epochOf(shard)).toBe(2)
  expect(await first.ask({ ...deposit('account/1', 1), epoch: 1 })).toEqual(elsewhere)
  expect(await first.query('account/1', 'balance', 1)).toEqual(elsewhere)
  expect(await first.query('account/1', 'balance', 2)).toEqual({ kind: 'answered', value: 1 })
  expect(await first.ask({ ...deposit('account/1', 1), epoch: 2 })).toMatchObject(accepted)
  expect(await first.ask({ ...deposit('account/1', 1), epoch: 1 })).toEqual(elsewhere)
  // Who cannot say is asked nothing.
  expect(await first.ask(deposit('account/1', 1))).toMatchObject({ ...accepted, version: 3 })
})

test('a worker that does not know an aggregate says so of shards that it serves, and of others that they are elsewhere', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  const first = await open(disk, clock, { ...LIMITS, own: [0, 1] })
  const { shard } = first.log.placement.stream('parcel/1')
  const elsewhere = { kind: 'elsewhere', shard }
  const unknown = { kind: 'failed', failure: { code: 'UnknownCommand', outcome: 'none' } }
  expect(await first.ask({ ...deposit('parcel/1', 1), epoch: 1 })).toMatchObject(unknown)
  expect(await first.ask({ ...deposit('parcel/1', 1), epoch: 2 })).toEqual(elsewhere)
  await first.worker.moves.release([shard], 1_000)
  expect(await first.ask({ ...deposit('parcel/1', 1), epoch: 1 })).toEqual(elsewhere)
  expect(await first.ask(deposit('parcel/1', 1))).toEqual(elsewhere)
})

test('a worker that nobody asks learns all the same that its shards have another owner', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  const before = await open(disk, clock)
  await open(disk, clock, { own: [1] })
  expect(before.log.ownedShards.map(({ shard }) => shard)).toEqual([0, 1])
  clock.advance(500)
  await turns(20)
  expect(before.log.ownedShards.map(({ shard }) => shard)).toEqual([0])
})

test('whoever has lost a shard is told so, also when others come to it before it is noticed', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  const lost: number[] = []
  const before = await open(disk, clock, { own: [0], onLost: (shards) => lost.push(...shards) })
  await open(disk, clock, { own: [0] })
  await before.worker.moves.takeOver([1])
  clock.advance(500)
  await turns(20)
  expect(before.log.ownedShards.map(({ shard }) => shard)).toEqual([1])
  expect(lost).toEqual([0])
})

/** The account before anybody could withdraw. */
const OlderAccount = defineAggregate({
  type: Account.type,
  initialState: (): { balance: number } => ({ balance: 0 }),
  events: {
    MoneyDeposited: (state, { amount }: { amount: number }) => ({ balance: state.balance + amount }),
  },
  commands: { deposit: (_state, { amount }: { amount: number }, { emit }) => emit.MoneyDeposited({ amount }) },
  queries: { balance: (state) => state.balance },
})

test('a shard with events that nothing here can read is refused alone, and whoever asks for it is sent on once it is given up', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  // Each in a journal of its own, and nothing of it is carried: which event types there are is known of whole segments.
  const [first, second] = [await open(disk, clock, { own: [0] }), await open(disk, clock, { own: [1] })]
  const shardOf = (account: string): number => first.log.placement.stream(account).shard
  const [readable, unreadable] = [0, 1].map((shard) => ACCOUNTS.find((account) => shardOf(account) === shard)!)
  await first.ask(deposit(readable!, 1))
  await second.ask(deposit(unreadable!, 2))
  await second.ask({ stream: unreadable!, name: 'withdraw', payload: { amount: 1 } })
  await second.ask(deposit(unreadable!, 1))
  const older = await open(disk, clock, { own: [], aggregates: [OlderAccount] })
  expect(await older.worker.moves.takeOver([0, 1])).toEqual([0])
  expect([...older.log.refusedShards].map(([shard, { code }]) => [shard, code])).toEqual([[1, 'BadDefinition']])
  expect(await older.query(readable!, 'balance')).toEqual({ kind: 'answered', value: 1 })
  const refusal = { kind: 'failed', failure: { code: 'BadDefinition', outcome: 'none' } }
  expect(await older.query(unreadable!, 'balance')).toMatchObject(refusal)
  expect(await older.ask(deposit(unreadable!, 1))).toMatchObject(refusal)
  await older.worker.moves.release([1], 0)
  expect(older.log.refusedShards.size).toBe(0)
  expect(await older.query(unreadable!, 'balance')).toEqual({ kind: 'elsewhere', shard: 1 })
  expect(await older.query(readable!, 'balance')).toEqual({ kind: 'answered', value: 1 })
  const again = await open(disk, clock)
  expect(await again.query(unreadable!, 'balance')).toEqual({ kind: 'answered', value: 2 })
})

test('a shard that was lost unnoticed and is to be taken over again is claimed anew, and whoever counted on it is told', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  const lost: number[] = []
  const before = await open(disk, clock, { own: [0, 1], onLost: (shards) => lost.push(...shards) })
  await open(disk, clock, { own: [0] })
  expect(await before.worker.moves.takeOver([0])).toEqual([0])
  expect(lost).toEqual([0])
  expect([before.log.epochOf(0), before.log.epochOf(1)]).toEqual([3, 1])
})
