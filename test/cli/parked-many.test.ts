import { expect, test } from 'vitest'
import { ParkedEvents } from '../../src/cli/parked-events.ts'
import { retryAll } from '../../src/cli/parked-retry.ts'
import type { ProjectionCluster } from '../../src/cli/projection-cluster.ts'
import type { ToldParked, ToldWaiting } from '../../src/node/consumer-operation.ts'
import { LISTED_MAX } from '../../src/react/consumer-operations.ts'

type Call = Parameters<ProjectionCluster['callAny']>[0]

/** So many streams, the oldest first. What is tried again flows. */
function nodeOf(count: number, reasonOf: (n: number) => string) {
  const parked = new Map<string, ToldParked>()
  for (let n = 0; n < count; n += 1) {
    const [stream, reason] = [`a/${n}`, reasonOf(n)]
    parked.set(stream, { stream, version: 1, type: 'Done', position: 100 + n, reason, parkedAt: 0, failures: 1 })
  }
  const waiting = ({ position, version, type }: ToldParked): ToldWaiting[] => [
    { id: 'id', type, version, position, time: 0 },
  ]
  const answer = ({ call, options = {} }: Call): unknown => {
    const { stream, from, limit } = options as { stream: string; from: number; limit: number }
    if (call === 'reactor.waiting') return waiting(parked.get(stream)!)
    if (call === 'reactor.parked') return [...parked.values()].filter((each) => each.position >= from).slice(0, limit)
    parked.delete(stream)
    return {}
  }
  return { parked, events: new ParkedEvents({ callAny: async (call) => answer(call) }, 'mails') }
}

const all = (parking: ParkedEvents) =>
  retryAll(parking, {}, { signal: new AbortController().signal, onTried: () => undefined })

test('why one is parked is told also where more are than a list has', async () => {
  const { events } = nodeOf(LISTED_MAX + 100, (n) => `it fails ${n}`)
  expect((await events.show({ stream: 'a/7' })).json).toMatchObject({ reason: 'it fails 7' })
  expect((await events.show({ stream: `a/${LISTED_MAX + 50}` })).json).toMatchObject({
    reason: `it fails ${LISTED_MAX + 50}`,
  })
})

test('all are tried again, also where more wait behind what was skipped than a list has', async () => {
  for (const reasonOf of [() => '', () => 'it fails', (n: number) => (n % 2 === 0 ? 'it fails' : '')]) {
    const { parked, events } = nodeOf(2 * LISTED_MAX + 10, reasonOf)
    expect(await all(events)).toMatchObject({ done: 2 * LISTED_MAX + 10, failures: 0, error: undefined })
    expect(parked.size).toBe(0)
  }
})
