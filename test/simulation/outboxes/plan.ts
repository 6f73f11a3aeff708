/** A plan for a cluster with outboxes: what befalls messages and who takes them, and what operators do with what is parked. */
import fc from 'fast-check'
import type { ServerFault } from '../../../src/testing/simulated-server.ts'
import { clusterPlans, STRIKES_END_MS, type ClusterPlan } from '../cluster/plan.ts'
import { briefly, place } from '../plan.ts'
import { serverFault } from '../server-fault.ts'

/** An event whose message is refused, or which cannot be mapped: so often, or until operators have mended it. */
export interface MessageTrouble {
  readonly account: number
  readonly version: number
  readonly times: number | 'until mended'
  readonly isRefused: boolean
}

export interface OutboxDeed {
  readonly atMs: number
  readonly node: number
  readonly does: 'look' | 'pause' | 'resume' | 'retry' | 'skip' | 'mend'
  /** Which account's parked events are meant. */
  readonly account: number
}

/** What somebody appends to a stream that is no aggregate's, to be published or not. */
export interface News {
  readonly atMs: number
  readonly node: number
  readonly stream: number
  readonly events: number
  readonly isPublished: boolean
}

/** What befalls a process that runs the outbox apart. */
export interface ProcessStrike {
  readonly atMs: number
  readonly process: number
  readonly does: 'kill' | 'stop' | 'drain'
  readonly forMs: number
}

/** The outbox runs in processes of its own. */
export interface Apart {
  /** When the first starts, at each of their places. */
  readonly joinsAtMs: readonly number[]
  readonly strikes: readonly ProcessStrike[]
  /** A place whose nodes have not heard of it, and publish as well. */
  readonly insideAt: number | undefined
}

export interface Publishing {
  readonly onFailure: 'park' | 'halt'
  readonly retries: number
  readonly batchMax: number
  readonly handlerTimeoutMs: number
  /** Whether messages of each stream go to a place of their own, beside those of others. */
  readonly isByStream: boolean
  /** Whether the publisher says one by one what has arrived. */
  readonly tells: boolean
  readonly troubles: readonly MessageTrouble[]
  readonly deeds: readonly OutboxDeed[]
  readonly news: readonly News[]
  readonly brokerFaults: readonly ServerFault[]
  /** Power is lost as soon as so many messages have arrived: an event that was seen and is not durable is gone then. */
  readonly losesPowerAt: number | undefined
  readonly apart: Apart | undefined
}

export type OutboxPlan = ClusterPlan & { readonly publishing: Publishing }

const account = fc.oneof(fc.constant(0), fc.nat(4))
const atMs = fc.integer({ min: 500, max: STRIKES_END_MS })

const trouble: fc.Arbitrary<MessageTrouble> = fc.record({
  account,
  version: fc.integer({ min: 1, max: 12 }),
  times: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant('until mended' as const)),
  isRefused: fc.boolean(),
})

const deed: fc.Arbitrary<OutboxDeed> = fc.record({
  atMs,
  node: place,
  does: fc.constantFrom('look', 'look', 'pause', 'resume', 'resume', 'retry', 'retry', 'skip', 'mend'),
  account,
})

const news: fc.Arbitrary<News> = fc.record({
  atMs,
  node: place,
  stream: fc.nat(2),
  events: fc.integer({ min: 1, max: 3 }),
  isPublished: fc.nat(3).map((nth) => nth > 0),
})

const strike: fc.Arbitrary<ProcessStrike> = fc.record({
  atMs,
  process: fc.nat(1),
  does: fc.constantFrom('kill', 'stop', 'stop', 'drain'),
  forMs: briefly,
})

const apart: fc.Arbitrary<Apart> = fc.record({
  joinsAtMs: fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 1, maxLength: 2 }),
  strikes: fc.array(strike, { maxLength: 4 }),
  insideAt: fc.option(place, { nil: undefined, freq: 2 }),
})

const publishing: fc.Arbitrary<Publishing> = fc.record({
  onFailure: fc.constantFrom('park' as const, 'park' as const, 'halt' as const),
  retries: fc.nat(2),
  batchMax: fc.constantFrom(1, 3, 1_000),
  // Less than a call that is not answered takes, and more.
  handlerTimeoutMs: fc.constantFrom(300, 60_000),
  isByStream: fc.boolean(),
  tells: fc.boolean(),
  troubles: fc.array(trouble, { maxLength: 5 }),
  deeds: fc.array(deed, { maxLength: 10, size: 'max' }),
  news: fc.array(news, { maxLength: 8, size: 'max' }),
  brokerFaults: fc.array(serverFault(atMs, ['refused', 'unheard', 'late', 'slow', 'partly', 'partly']), {
    maxLength: 5,
  }),
  losesPowerAt: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined, freq: 3 }),
  apart: fc.option(apart, { nil: undefined, freq: 2 }),
})

/** Plans in which the cluster's nodes, or processes of their own, run outboxes while all that befalls them. */
export const outboxPlans: fc.Arbitrary<OutboxPlan> = fc
  .tuple(clusterPlans, publishing)
  .map(([plan, of]) => ({ ...plan, publishing: of }))
