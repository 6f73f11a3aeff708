import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { defineSchedule } from '../../src/index.ts'
import type { ShardEffects, SentCommand, SentOutcome } from '../../src/react/effects.ts'
import { Timers } from '../../src/react/timers.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { Account } from '../account.ts'
import { away } from './memory-effects.ts'

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
  expect(told.splice(0)).toEqual(['define $schedule/nightly', 'again $schedule/nightly'])
  isAway = true
  await minute()
  isAway = false
  await minute()
  expect(told.splice(0)).toEqual(['again $schedule/nightly'])
  timers.close()
  await minute()
  expect(told).toEqual([])
})
