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

test('an attempt whose time is up has waited where the log took half of it, and has failed where it did something else', async () => {
  const command = { stream: 'a/1', name: 'go', payload: undefined, commandId: '', correlationId: '', causationId: '' }
  const come = async (answerMs: number, restMs: number): Promise<string> => {
    const clock = new SimulatedClock()
    const effects = new MemoryEffects()
    const passed = (ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve))
    effects.onSent = async () => {
      await passed(answerMs)
      return { kind: 'accepted', version: 1, position: 1 }
    }
    const attempt = new Attempt({ effects, clock, timeoutMs: 1_000 })
    const outcome = attempt.run(async () => {
      for (;;) {
        await attempt.ask({ ...command, after: 0 })
        await passed(restMs)
      }
    })
    for (let i = 0; i < 1_001; i += 1) {
      clock.advance(1)
      for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
    }
    return (await outcome).kind
  }
  expect(await come(5_000, 0)).toBe('waits')
  expect(await come(300, 10)).toBe('waits')
  expect(await come(150, 300)).toBe('failed')
  expect(await come(9, 1)).toBe('failed')
})
