import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { commandIdReused } from '../../src/actor/error.ts'
import { defineSchedule, deriveId } from '../../src/index.ts'
import type { Reaction } from '../../src/react/consumer.ts'
import type { ShardEffects, SentCommand, SentOutcome } from '../../src/react/effects.ts'
import { timerCommandsConsumer } from '../../src/react/timer-consumers.ts'
import { Timers } from '../../src/react/timers.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { Account } from '../account.ts'
import { away, MemoryEffects } from './memory-effects.ts'

const nightly = defineSchedule({
  name: 'nightly',
  cron: '0 3 * * *',
  missed: 'once',
  aggregate: Account,
  id: '1',
  command: 'deposit',
  payload: { amount: 1 },
})

test('a node tells its schedules when it starts, and each minute that it still has them, until it is closed', async () => {
  const clock = new SimulatedClock()
  const told: string[] = []
  let isAway = false
  let ids = 0
  const ask = async ({ stream, name }: SentCommand): Promise<SentOutcome> => {
    if (isAway) throw away()
    told.push(`${name} ${stream}`)
    return { kind: 'accepted', version: 1, position: 1 }
  }
  const timers = new Timers({
    clock,
    otherTime: () => undefined,
    effects: { ask } as unknown as ShardEffects,
    shards: 4,
    schedules: [nightly],
    newId: () => String((ids += 1)),
    onWarning: () => undefined,
  })
  const minute = async (): Promise<void> => {
    await setImmediate()
    clock.advance(60_000)
    await setImmediate()
  }
  timers.start()
  await minute()
  expect(told.splice(0)).toEqual(['start $schedule/nightly', 'keep $schedule/nightly'])
  isAway = true
  await minute()
  isAway = false
  await minute()
  expect(told.splice(0)).toEqual(['keep $schedule/nightly'])
  timers.close()
  await minute()
  expect(told).toEqual([])
})

test('a schedule that cannot be told keeps none of the others from it; and a node whose schedule runs otherwise says so once', async () => {
  const clock = new SimulatedClock()
  const told: string[] = []
  const warnings: string[] = []
  const other = { ...nightly, name: 'other' }
  const details = { cron: '0 4 * * *', timezone: 'UTC', missed: 'all' }
  let outcome: SentOutcome = { kind: 'rejected', code: 'superseded', details }
  const ask = async ({ stream, payload }: SentCommand): Promise<SentOutcome> => {
    if (stream.endsWith('nightly')) throw away()
    told.push(stream)
    expect(payload).toEqual({ cron: '0 3 * * *', timezone: 'UTC', missed: 'once' })
    return outcome
  }
  const timers = new Timers({
    clock,
    otherTime: () => undefined,
    effects: { ask } as unknown as ShardEffects,
    shards: 4,
    schedules: [nightly, other],
    newId: () => '1',
    onWarning: (message) => warnings.push(message),
  })
  timers.start()
  const minutes = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) {
      await setImmediate()
      clock.advance(60_000)
      await setImmediate()
    }
  }
  await minutes(3)
  expect(told.length).toBeGreaterThan(2)
  expect(warnings).toEqual([
    expect.stringContaining("the schedule 'other' runs as a node has it that has started later: cron '0 4 * * *'"),
    expect.stringContaining('could not be begun'),
  ])
  // Right again for a while, it may be told once more.
  outcome = { kind: 'accepted', version: 1, position: 1 }
  await minutes(1)
  outcome = { kind: 'rejected', code: 'superseded', details }
  await minutes(3)
  expect(warnings).toHaveLength(3)
  timers.close()
})

test('that a node has started is said again until it is heard, as the same command, with the same times, whatever its clock is set to', async () => {
  const clock = new SimulatedClock()
  const sent: Pick<SentCommand, 'name' | 'commandId' | 'after' | 'payload'>[] = []
  let otherTime = 0
  let ids = 0
  const timers = new Timers({
    clock,
    otherTime: () => (otherTime += 1),
    effects: {
      ask: async ({ name, commandId, after, payload }: SentCommand): Promise<SentOutcome> => {
        sent.push({ name, commandId, after, payload })
        if (sent.length <= 3) throw away()
        return { kind: 'accepted', version: 1, position: 1 }
      },
    } as unknown as ShardEffects,
    shards: 4,
    schedules: [nightly],
    newId: () => deriveId('test', (ids += 1)),
    onWarning: () => undefined,
  })
  timers.start()
  for (let s = 0; s < 61; s += 1) {
    await setImmediate()
    clock.jump(-86_400_000)
    clock.advance(1_000)
    await setImmediate()
  }
  timers.close()
  expect(sent.slice(1, 4)).toEqual([sent[0], sent[0], sent[0]])
  expect(sent[0]).toMatchObject({ name: 'start', payload: { otherTime: 1 } })
  expect(sent[4]).toMatchObject({ name: 'keep', payload: { otherTime: 2 } })
  expect(sent).toHaveLength(5)
})

test('a run that comes to a node without its schedule stops it, by the clock of another machine too; sent again it is done with', async () => {
  const warnings: string[] = []
  let otherTime: number | undefined = 1_000
  const { does } = timerCommandsConsumer({
    schedules: [nightly],
    clock: new SimulatedClock(),
    otherTime: () => otherTime,
    onWarning: (message) => warnings.push(message),
  })
  assert('one' in does)
  const effects = new MemoryEffects()
  const event = { type: 'RunDue', id: 'e', position: 7, data: { time: 500 }, metadata: { correlationId: 'c' } }
  const reaction = { effects, signal: new AbortController().signal } as unknown as Reaction
  const told = { ...event, stream: '$schedule/gone' } as unknown as FeedEvent
  await does.one(told, reaction)
  otherTime = undefined
  effects.onSent = () => Promise.reject(commandIdReused('$schedule/gone', 'x', true))
  await does.one(told, reaction)
  expect(effects.sent.map(({ name, payload }) => ({ name, payload }))).toEqual([
    { name: 'stop', payload: { from: 500, otherTime: 1_000 } },
    { name: 'stop', payload: { from: 500 } },
  ])
  expect(effects.sent[1]!.commandId).toBe(effects.sent[0]!.commandId)
  expect(warnings[0]).toContain("the schedule 'gone' is not in the config of this node")
})
