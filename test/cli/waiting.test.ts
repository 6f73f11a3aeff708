import { expect, test } from 'vitest'
import { outboxesApart, problemsOf, shownOf } from '../../src/cli/reactor-picture.ts'
import { defineOutbox } from '../../src/index.ts'
import type { ConsumerStatus } from '../../src/react/consumer-status.ts'

const LANE = { place: { position: 0, shard: 0 }, head: 9, lag: undefined, events: 0, stillMs: 0, parkedStreams: 0 }

function status(name: string, waitingMs: number | undefined): ConsumerStatus {
  const state = waitingMs === undefined ? 'running' : 'waiting'
  const lanes = [0, 1].map((lane) => ({ ...LANE, lane: String(lane), state, waiting: 0, trouble: undefined }) as const)
  const waiting = waitingMs === undefined ? undefined : { shards: [0, 1], ms: waitingMs, reason: `away at ${name}` }
  return { kind: 'outbox', name, state, lanes, events: 0, parkedStreams: 0, trouble: undefined, waiting }
}

test('what waits for a minute is told, of all nodes in one line, with how long and why', () => {
  const given = { startAt: 'now', from: 'all', map: { A: () => undefined }, publisher: async () => undefined } as const
  const outboxes = [
    defineOutbox({ ...given, name: 'apart', runs: 'apart' }),
    defineOutbox({ ...given, name: 'deposits' }),
  ]
  const told = (...statuses: readonly ConsumerStatus[]): readonly string[] =>
    problemsOf(shownOf(statuses, outboxesApart({ outboxes })))
  expect(told(status('deposits', undefined), status('deposits', 59_999))).toEqual([])
  expect(told(status('deposits', 2_000), status('deposits', 75_000), status('deposits', undefined))).toEqual([
    'outbox deposits waits in 4 shards since 75 s, and tries again: away at deposits',
  ])
  // Of a node whose version does not say.
  const { waiting: _none, ...older } = status('deposits', 75_000)
  expect(told(older as ConsumerStatus)).toEqual([])
  expect(told({ ...status('deposits', undefined), lanes: [], state: 'elsewhere' })).toEqual([
    expect.stringContaining('no node runs outbox deposits'),
  ])
  // The nodes do not run what has a process of its own.
  expect(told({ ...status('apart', undefined), lanes: [], state: 'elsewhere' })).toEqual([])
})
