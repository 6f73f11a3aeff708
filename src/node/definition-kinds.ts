/** What a config has lists of, and what makes one: so that one in another's list is told where it belongs. */
import { isAggregate } from '../aggregate/aggregate.ts'
import { describe, whyUndefined } from '../aggregate/error.ts'
import { isInbox } from '../react/inbox.ts'
import { isOutbox } from '../react/outbox.ts'
import { isProcess } from '../react/process.ts'
import { isReactor } from '../react/reactor.ts'
import { isSchedule } from '../react/schedule.ts'
import { isProjection } from '../read/projection.ts'

export interface Kind {
  readonly kind: string
  /** Under which name a config has its list. */
  readonly list: 'aggregates' | 'projections' | 'reactors' | 'processes' | 'outboxes' | 'inboxes' | 'schedules'
  readonly maker: string
  readonly isOne: (value: unknown) => boolean
}

export const KINDS: readonly Kind[] = [
  { kind: 'aggregate', list: 'aggregates', maker: 'defineAggregate', isOne: isAggregate },
  { kind: 'projection', list: 'projections', maker: 'defineProjection', isOne: isProjection },
  { kind: 'reactor', list: 'reactors', maker: 'defineReactor', isOne: isReactor },
  { kind: 'process', list: 'processes', maker: 'defineProcess', isOne: isProcess },
  { kind: 'outbox', list: 'outboxes', maker: 'defineOutbox', isOne: isOutbox },
  { kind: 'inbox', list: 'inboxes', maker: 'defineInbox', isOne: isInbox },
  { kind: 'schedule', list: 'schedules', maker: 'defineSchedule', isOne: isSchedule },
]

/** What stands in a list where what `maker` returns is wanted, and what to do about it. */
export function strangerIn(given: unknown, maker: string): string {
  const known = KINDS.find(({ isOne }) => isOne(given))
  if (known === undefined) return `${describe(given)}; give what ${maker} returned${whyUndefined(given)}`
  const { name, type } = given as { readonly name?: string; readonly type?: string }
  return `the ${known.kind} '${name ?? type}', which belongs under ${known.list}`
}
