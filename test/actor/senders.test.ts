import { expect, test } from 'vitest'
import type { CommandMessage, Reply } from '../../src/actor/message.ts'
import { deriveId, parseId } from '../../src/log/identity.ts'
import type { Log } from '../../src/log/log.ts'
import { StreamPlacement } from '../../src/log/stream.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { deposit, open, type Harness } from './harness.ts'

const placement = new StreamPlacement('test', 2)
/** An account in a shard. */
const accountIn = (shard: number): string =>
  ['account/1', 'account/2', 'account/3', 'account/4', 'account/5'].find((name) => placement.shardOf(name) === shard)!
/** What consumers of shard 1 send, to one of shard 0. */
const TO = accountIn(0)

interface Senders {
  readonly disk: SimulatedDisk
  readonly clock: SimulatedClock
  /** Serves shard 0. */
  readonly target: Harness
  /** Somebody serves shard 1 from now on; resolves to the epoch in which they do. */
  readonly claim: () => Promise<number>
}

async function start(tweak?: (log: Log) => void): Promise<Senders> {
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const target = await open(disk, clock, { own: [0], ...(tweak && { tweak }) })
  const claim = async (): Promise<number> => (await open(disk, clock, { own: [1] })).log.epochOf(1)
  return { disk, clock, target, claim }
}

function withdraw(epoch: number, key = 'one'): Parameters<Harness['ask']>[0] {
  const identity = { commandId: parseId(deriveId('sent', key)), isFresh: false, isAgain: true }
  return { ...identity, stream: TO, name: 'withdraw', payload: { amount: 5 }, sentIn: { shard: 1, epoch } }
}

const SUPERSEDED = { kind: 'failed', failure: { code: 'ShardUnavailable', outcome: 'none', retryable: true } }

test('what a consumer has sent has no effect once its successor may have been answered (I5)', async () => {
  const { target, claim } = await start()
  const first = await claim()
  const second = await claim()
  expect(second).toBe(first + 1)
  expect(await target.ask(withdraw(second))).toMatchObject({ kind: 'rejected' })
  await target.ask(deposit(TO, 8))
  expect(await target.ask(withdraw(first))).toMatchObject(SUPERSEDED)
  expect(await target.query(TO, 'balance')).toEqual({ kind: 'answered', value: 8 })
  // The one that was answered may send it again on purpose, once or more often.
  expect(await target.ask(withdraw(second))).toMatchObject({ kind: 'accepted', version: 2 })
  expect(await target.ask(withdraw(second))).toMatchObject({ kind: 'accepted', version: 2 })
  // Whoever comes late then hears what has happened.
  expect(await target.ask(withdraw(first))).toMatchObject({ kind: 'accepted', version: 2 })
})

test('nor has it where nobody remembers the answer, nor after many successors', async () => {
  const { disk, clock, target, claim } = await start()
  const first = await claim()
  const second = await claim()
  expect(await target.ask(withdraw(second))).toMatchObject({ kind: 'rejected' })
  await target.ask(deposit(TO, 8))
  await target.worker.close()
  const next = await open(disk, clock, { own: [0] })
  expect(await next.ask(withdraw(first))).toMatchObject(SUPERSEDED)
  // Claims that nobody needs any more are removed.
  for (let i = 0; i < 3; i += 1) await claim()
  expect([...disk.files.keys()].filter((path) => path.endsWith('.claim') && path.includes('/1/')).length).toBeLessThan(
    4,
  )
  expect(await next.ask(withdraw(first))).toMatchObject(SUPERSEDED)
  expect(await next.ask(withdraw(second))).toMatchObject(SUPERSEDED)
  expect(await next.query(TO, 'balance')).toEqual({ kind: 'answered', value: 8 })
})

test('a look at the claims counts until more messages come in', async () => {
  let looks = 0
  const { target, claim } = await start((log) => {
    const look = log.isLastEpoch.bind(log)
    log.isLastEpoch = (...of) => {
      looks += 1
      return look(...of)
    }
  })
  const first = await claim()
  const messages = Array.from({ length: 50 }, (_, i) => withdraw(first, `row ${i}`))
  // All of them are received before the first is decided: the aggregate is away.
  const told = await Promise.all(messages.map((message) => target.ask(message)))
  expect(told.every(({ kind }) => kind === 'rejected')).toBe(true)
  expect(looks).toBe(1)
  const second = await claim()
  const kinds = await Promise.all([target.ask(withdraw(second, 'new')), target.ask(withdraw(first, 'late'))])
  expect(kinds).toMatchObject([{ kind: 'rejected' }, SUPERSEDED])
})

test('nor has it at an owner that has the aggregate back, and had looked before it left', async () => {
  const { disk, clock, target, claim } = await start()
  const first = await claim()
  expect(await target.ask(withdraw(first, 'known'))).toMatchObject({ kind: 'rejected' })
  const between = await open(disk, clock, { own: [0] })
  const second = await claim()
  expect(await between.ask(withdraw(second))).toMatchObject({ kind: 'rejected' })
  await between.ask(deposit(TO, 8))
  // It hears of its loss.
  expect(await target.query(TO, 'balance')).not.toMatchObject({ kind: 'answered' })
  expect(await target.worker.moves.takeOver([0])).toEqual([0])
  expect(await target.ask(withdraw(first))).toMatchObject(SUPERSEDED)
  expect(await target.query(TO, 'balance')).toEqual({ kind: 'answered', value: 8 })
})

test('where the claims cannot be seen nothing is done', async () => {
  const { target, claim } = await start((log) => {
    log.isLastEpoch = () => {
      throw new Error('the volume is away')
    }
  })
  await target.ask(deposit(TO, 8))
  const reply = (await target.ask(withdraw(await claim()))) as Reply & { readonly kind: 'failed' }
  expect(reply).toMatchObject(SUPERSEDED)
  expect(reply.failure.message).toContain('the volume is away')
  expect(await target.query(TO, 'balance')).toEqual({ kind: 'answered', value: 8 })
})

test('nobody else is looked for: those who ask for themselves, and consumers where there is one owner ever', async () => {
  const { target } = await start((log) => {
    log.isLastEpoch = () => {
      throw new Error('there is no need to look')
    }
  })
  await target.ask(deposit(TO, 8))
  const asked = (sentIn: CommandMessage['sentIn'], key: string): Promise<Reply> =>
    target.ask({ ...withdraw(0, key), sentIn })
  expect(await asked(undefined, 'own')).toMatchObject({ kind: 'accepted' })
  expect(await asked({ shard: 1, epoch: 0 }, 'alone')).toMatchObject({ kind: 'rejected' })
})
