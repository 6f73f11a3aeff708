/**
 * All streams that the log of a bank has whose nodes react, by name: so that each shard can be read without a gap. Those of
 * Penhold's own are named so that they fall on the shard that they belong to.
 */
import type { StreamPlacement } from '../../../src/log/stream.ts'
import { CONSUMER } from '../../../src/react/consumer-record.ts'
import { INBOX } from '../../../src/react/inbox-record.ts'
import { inShard } from '../../simulation/reactors/timed.ts'
import type { Fact } from './facts.ts'
import { NEWS, ORDERS } from './consequences.ts'
import { boxOf, BOXES, kindsOf, TICKED, TICKS, timerOf, transferOf } from './kinds.ts'

const CONSUMERS = [
  ...['notes', 'picky', 'reminders'].map((name) => `reactor:${name}`),
  ...['told', 'sent'].map((half) => `process:transfer.${half}`),
  `outbox:${NEWS}`,
  'timers:$timers',
  'timers:$timer-commands',
]

/** But for the buckets of timers, and what follows from single events. */
export function streamsOf(placement: StreamPlacement, accounts: readonly string[]): readonly string[] {
  const shards = Array.from({ length: placement.shards }, (_, shard) => shard)
  return [
    ...shards.flatMap((shard) => CONSUMERS.map((name) => inShard(placement, shard, `${CONSUMER}/${name}`))),
    ...shards.map((shard) => openBuckets(placement, shard)),
    `${INBOX}/${ORDERS}`,
    TICKS,
    TICKED,
    ...Array.from({ length: BOXES }, (_, box) => `tally/${boxOf(box)}`),
    ...accounts.flatMap((account) => [
      ...['notes', 'picky', 'reminders'].map((name) => `tally/${name}-${account}`),
      `ledger/${account}`,
      timerOf(account),
    ]),
  ]
}

/** Where it is recorded which buckets of a shard there are. */
export function openBuckets(placement: StreamPlacement, shard: number): string {
  return inShard(placement, shard, '$timers/all')
}

/** Of the transfers that an account's events have begun. */
export function transfersOf(account: string, events: readonly Fact[]): readonly string[] {
  return events
    .filter(({ commandId }) => kindsOf(commandId).transfer !== undefined)
    .map(({ version }) => `transfer/${transferOf(account, version)}`)
}
