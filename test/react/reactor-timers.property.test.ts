/** Timers of a reactor whose events are handled again, from anywhere on: as after a crash. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EmittedEvent } from '../../src/aggregate/aggregate.ts'
import type { SentCommand, SentOutcome } from '../../src/react/effects.ts'
import { ReactorTimers, TimerRecord } from '../../src/react/timer.ts'
import { Account } from '../account.ts'
import { MemoryEffects } from './memory-effects.ts'

interface State {
  readonly token: string | undefined
}
type Decide = (state: State, payload: unknown, context: object) => EmittedEvent | undefined
type Evolve = (state: State, data: unknown) => State

/** Streams of timers, which know of a command only what has left events. */
class TimerLog {
  readonly effects = new MemoryEffects()
  readonly #states = new Map<string, State>()
  readonly #known = new Map<string, SentOutcome>()

  constructor() {
    this.effects.onSent = async (command) => this.#known.get(command.commandId) ?? this.#decide(command)
  }

  /** What will fire, by timer. */
  get pending(): readonly (readonly [string, string])[] {
    return [...this.#states].flatMap(([stream, { token }]) => (token === undefined ? [] : [[stream, token] as const]))
  }

  #decide({ stream, name, payload, commandId }: SentCommand): SentOutcome {
    const state = this.#states.get(stream) ?? TimerRecord.initialState()
    const emit = new Proxy({}, { get: (_, type) => (data: unknown) => ({ type, data }) })
    const event = (TimerRecord.commands as unknown as Record<string, Decide>)[name]!(state as State, payload, {
      emit,
      commandId,
    })
    const outcome = { kind: 'accepted', version: 1, position: 1 } as const
    if (event === undefined) return outcome
    const evolve = (TimerRecord.events as unknown as Record<string, Evolve>)[event.type]!
    this.#states.set(stream, evolve(state as State, event.data))
    this.#known.set(commandId, outcome)
    return outcome
  }
}

/** What a handler does, for one event. */
const call = fc.record({ timer: fc.constantFrom('a', 'b'), does: fc.constantFrom('schedule', 'cancel') })
const events = fc.array(fc.array(call, { maxLength: 4 }), { minLength: 1, maxLength: 8 })
const crash = fc.record({ after: fc.nat(12), back: fc.nat(4) })

test('what is pending in the end is what the events ask for, in their order, however often some are handled again', async () => {
  await fc.assert(
    fc.asyncProperty(events, fc.array(crash, { maxLength: 4 }), async (all, crashes) => {
      const once = new TimerLog()
      for (const i of all.keys()) await handle(once, all, i)
      const again = new TimerLog()
      let at = 0
      for (const { after, back } of crashes) {
        const until = Math.min(all.length, at + after)
        for (; at < until; at += 1) await handle(again, all, at)
        at = Math.max(0, at - back)
      }
      for (; at < all.length; at += 1) await handle(again, all, at)
      expect(again.pending).toEqual(once.pending)
    }),
  )
})

type Calls = typeof call extends fc.Arbitrary<infer T> ? readonly T[] : never

async function handle({ effects }: TimerLog, all: readonly Calls[], i: number): Promise<void> {
  const cause = { correlationId: 'c', causationId: `event-${i}`, after: i + 1 }
  const onOther = (): void => expect.fail('it has asked for the same')
  const time = new Date(0)
  const timers = new ReactorTimers({ owner: 'o', effects, idempotencyKey: `key-${i}`, cause, time, onOther })
  const to = { aggregate: Account, id: '1', command: 'deposit', payload: { amount: 1 } } as const
  for (const { timer, does } of all[i]!) {
    if (does === 'cancel') await timers.cancel(timer)
    else await timers.schedule(timer, { inMs: 1 }, to)
  }
}
