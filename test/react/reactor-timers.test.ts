import assert from 'node:assert/strict'
import { expect, test } from 'vitest'
import { commandIdReused } from '../../src/actor/error.ts'
import type { Reaction } from '../../src/react/consumer.ts'
import type { SentCommand } from '../../src/react/effects.ts'
import { timerCommandsConsumer } from '../../src/react/timer-consumers.ts'
import { ReactorTimers, timeOf, type When } from '../../src/react/timer.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { Account } from '../account.ts'
import { away, MemoryEffects } from './memory-effects.ts'

test('an event that is handled again sets the same timers, in whatever order', async () => {
  const set = async (...ids: readonly string[]): Promise<readonly SentCommand[]> => {
    const effects = new MemoryEffects()
    const onOther = (): void => expect.fail('it has asked for the same')
    const cause = { correlationId: 'c', causationId: 'e', after: 1 }
    const timers = new ReactorTimers({ owner: 'o', effects, idempotencyKey: 'k', cause, time: new Date(0), onOther })
    const to = { aggregate: Account, id: '1', command: 'deposit', payload: { amount: 1 } } as const
    for (const id of ids) await timers.schedule(id, { inMs: 1 }, to)
    return effects.sent.toSorted((a, b) => a.stream.localeCompare(b.stream))
  }
  const first = await set('a', 'b', 'a')
  expect(await set('b', 'a', 'a')).toEqual(first)
  expect(new Set(first.map(({ commandId }) => commandId)).size).toBe(3)
})

test('a timer that is given no id is told what is missing, and nothing is set', async () => {
  const effects = new MemoryEffects()
  const cause = { correlationId: 'c', causationId: 'e', after: 1 }
  const of = { owner: 'o', effects, idempotencyKey: 'k', cause, time: new Date(0), onOther: () => undefined }
  const timers = new ReactorTimers(of) as unknown as Record<
    'schedule' | 'cancel',
    (...given: unknown[]) => Promise<void>
  >
  const nameless = timers.schedule({ inMs: 5 }, { aggregate: Account, id: '1', command: 'deposit' })
  await expect(nameless).rejects.toMatchObject({ code: 'BadTimer' })
  await expect(nameless).rejects.toThrow('named by a text, and an object was given; give its id first')
  await expect(timers.cancel(undefined)).rejects.toThrow('and undefined was given; give its id first')
  expect(effects.sent).toEqual([])
})

test('what a timer was for, and has taken effect as something else, is done with, and told once', async () => {
  const warnings: string[] = []
  const { does } = timerCommandsConsumer({
    schedules: [],
    clock: new SimulatedClock(),
    otherTime: () => undefined,
    onWarning: (message) => warnings.push(message),
  })
  assert('one' in does)
  const effects = new MemoryEffects()
  effects.onSent = () => Promise.reject(commandIdReused('account/1', 'x', true))
  const fired = { type: 'TimerFired', data: { token: 't', command: { stream: 'account/1', name: 'deposit' } } }
  const event = { ...fired, id: 'e', stream: '$timer/o:a', position: 7, metadata: { correlationId: 'c' } }
  const reaction = { effects, signal: new AbortController().signal } as unknown as Reaction
  for (let i = 0; i < 3; i += 1) await does.one(event as unknown as FeedEvent, reaction)
  expect(effects.sent).toHaveLength(3)
  expect(warnings).toEqual([
    expect.stringContaining("the timer 'a' of the reactor 'o' has asked again for 'deposit' to account/1"),
  ])
  effects.onSent = () => Promise.reject(away())
  await expect(does.one(event as unknown as FeedEvent, reaction)).rejects.toThrow('nobody serves it')
})

test('a name that is too long with its reactor is refused in words', async () => {
  const cause = { correlationId: 'c', causationId: 'e', after: 1 }
  const of = { effects: new MemoryEffects(), idempotencyKey: 'k', cause, time: new Date(0), onOther: () => undefined }
  const timers = new ReactorTimers({ owner: 'o'.repeat(64), ...of })
  await timers.cancel('\u4e00'.repeat(100))
  await expect(timers.cancel('\u4e00'.repeat(145))).rejects.toMatchObject({
    code: 'BadTimer',
    message: expect.stringContaining('both names together'),
  })
})

test('a command whose parts are forgotten, or in another order, is refused in words', async () => {
  const cause = { correlationId: 'c', causationId: 'e', after: 1 }
  const of = { effects: new MemoryEffects(), idempotencyKey: 'k', cause, time: new Date(0), onOther: () => undefined }
  const timers = new ReactorTimers({ owner: 'o', ...of })
  for (const to of [
    { aggregate: Account, id: 'deposit', command: undefined, payload: undefined },
    { aggregate: 'account', id: '1', command: 'deposit', payload: { amount: 1 } },
    { aggregate: undefined, id: undefined, command: undefined, payload: undefined },
  ]) {
    await expect(timers.schedule('a', { inMs: 1 }, to as never)).rejects.toMatchObject({
      code: 'BadTimer',
      message: expect.stringMatching(/^the timer 'a' is to send .* in this order$/),
    })
  }
})

test('a time that is over, however long, is as good as now, and what is none is refused in words', () => {
  const event = new Date(1_000)
  const given: readonly [When, number][] = [
    [{ inMs: 0.5 }, 1_001],
    [{ inMs: -(2 ** 53) }, 0],
    [{ at: new Date(-1) }, 0],
    [{ at: -8.64e15 }, 0],
    [{ at: 8.64e15 }, 8.64e15],
  ]
  for (const [when, at] of given) expect(timeOf('x', when, event)).toBe(at)
  const none = [
    { inMs: 2 ** 53 },
    { at: 2 ** 53 },
    { at: new Date(Number.NaN) },
    { at: Number.NEGATIVE_INFINITY },
    { inMs: '5' },
    {},
    undefined,
    5,
  ]
  for (const when of none) {
    expect(() => timeOf('x', when as When, event)).toThrow(/^the timer 'x' is to be due .* give \{ at: a Date \}/)
  }
})
