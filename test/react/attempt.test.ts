import { expect, test } from 'vitest'
import { Attempt } from '../../src/react/attempt.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { MemoryEffects } from './memory-effects.ts'

test('an attempt that goes well makes no error, though its signal is aborted with one', async () => {
  const options = { effects: new MemoryEffects(), clock: new SimulatedClock(), timeoutMs: 1_000 }
  const command = { stream: 'a/1', name: 'go', payload: undefined, commandId: '', correlationId: '', causationId: '' }
  const attempts = [new Attempt(options), new Attempt(options), new Attempt(options)]
  const settled = attempts.map(async (attempt) => await attempt.run(() => attempt.ask({ ...command, after: 0 })))
  expect(await Promise.all(settled)).toEqual([{ kind: 'done' }, { kind: 'done' }, { kind: 'done' }])
  const reasons = attempts.map(({ signal }) => signal.reason as unknown)
  expect(reasons[0]).toMatchObject({ code: 'Aborted' })
  expect(new Set(reasons).size).toBe(1)
  // What it does later still says where.
  await expect(attempts[0]!.ask({ ...command, after: 0 })).rejects.toMatchObject({ code: 'Aborted', outcome: 'none' })
})
