import { expect, test } from 'vitest'
import { ReactorTimers } from '../../src/react/timer.ts'
import type { SentCommand } from '../../src/react/effects.ts'
import { Account } from '../account.ts'
import { MemoryEffects } from './memory-effects.ts'

test('an event that is handled again sets the same timers, in whatever order', async () => {
  const set = async (...ids: readonly string[]): Promise<readonly SentCommand[]> => {
    const effects = new MemoryEffects()
    const cause = { correlationId: 'c', causationId: 'e', after: 1 }
    const timers = new ReactorTimers({ owner: 'o', effects, idempotencyKey: 'k', cause, time: new Date(0) })
    const to = { aggregate: Account, id: '1', command: 'deposit', payload: { amount: 1 } } as const
    for (const id of ids) await timers.schedule(id, { inMs: 1 }, to)
    return effects.sent.toSorted((a, b) => a.stream.localeCompare(b.stream))
  }
  const first = await set('a', 'b', 'a')
  expect(await set('b', 'a', 'a')).toEqual(first)
  expect(new Set(first.map(({ commandId }) => commandId)).size).toBe(3)
})
