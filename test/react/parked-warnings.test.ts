import { expect, test } from 'vitest'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { ParkedWarnings, TOLD_MAX, TOLD_WITHIN_MS } from '../../src/react/parked-warnings.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

function bench() {
  const [clock, warnings] = [new SimulatedClock(), [] as string[]]
  const told = new ParkedWarnings('reactor mails', { clock, onWarning: (message) => void warnings.push(message) })
  const park = (count: number, why = 'it fails'): void => {
    for (let n = 1; n <= count; n += 1) {
      const event = { shard: 3, stream: `a/${n}`, version: 2, type: 'Done' } as FeedEvent
      told.parked(event, new Error(why))
    }
  }
  return { clock, warnings, told, park }
}

test('the first that are parked are told one by one, and thousands within a minute in one line more', () => {
  const { clock, warnings, told, park } = bench()
  park(10_000)
  told.look()
  expect(warnings).toHaveLength(TOLD_MAX)
  expect(warnings[0]).toMatch(
    /^reactor mails, shard 3: has parked 'Done', version 2 of a\/1, and parks what follows there: Error: it fails\. Mend that, .*penhold parked/,
  )
  clock.advance(TOLD_WITHIN_MS)
  told.look()
  told.look()
  expect(warnings.slice(TOLD_MAX)).toEqual([
    expect.stringMatching(
      /^reactor mails has parked events of 9990 more streams, the last 'Done', version 2 of a\/10000: Error: it fails\. Mend/,
    ),
  ])
  park(1, 'something else')
  expect(warnings.at(-1)).toContain('something else')
})

test('what was not told is told before anything else is, and at the end', () => {
  const { clock, warnings, told, park } = bench()
  park(TOLD_MAX + 1)
  clock.advance(TOLD_WITHIN_MS)
  park(TOLD_MAX + 2)
  expect(warnings).toHaveLength(2 * TOLD_MAX + 1)
  expect(warnings[TOLD_MAX]).toContain('has parked events of 1 more stream,')
  told.tellRest()
  told.tellRest()
  expect(warnings.slice(2 * TOLD_MAX + 1)).toEqual([expect.stringContaining('has parked events of 2 more streams,')])
})

test('whoever throws when told ends nothing', () => {
  const onWarning = (): never => {
    throw new Error('no')
  }
  const told = new ParkedWarnings('reactor mails', { clock: new SimulatedClock(), onWarning })
  told.parked({ shard: 1, stream: 'a/1', version: 1, type: 'Done' } as FeedEvent, new Error('x'))
})
