import { expect, test } from 'vitest'
import { assert } from '../../src/aggregate/assert.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { deposit, open } from './harness.ts'

test('who asks an aggregate that shows that a rule of the code is broken is not sent to look for it in a handler', async () => {
  let isBroken = true
  const { ask } = await open(new SimulatedDisk(), new SimulatedClock(), {
    tweak(log) {
      const tail = log.tail.bind(log)
      log.tail = async (...args) => {
        assert(!isBroken, 'versions count up')
        return tail(...args)
      }
    },
  })
  const reply = await ask(deposit('account/1', 5))
  expect(reply).toMatchObject({ kind: 'failed', failure: { code: 'HandlerFailed', outcome: 'none', retryable: false } })
  const { message, details } = (reply as { readonly failure: { readonly message: string; readonly details: object } })
    .failure
  expect(message).toContain("a rule of Penhold's own does not hold: versions count up")
  expect(message).toContain('penhold verify')
  expect(message).not.toContain('mend the handler')
  expect(details).toMatchObject({ stack: expect.stringContaining('BrokenInvariant') as string })
  isBroken = false
  expect(await ask(deposit('account/1', 5))).toMatchObject({ kind: 'accepted', version: 1 })
})
