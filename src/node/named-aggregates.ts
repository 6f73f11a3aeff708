/** What a config defines names aggregates: whose events it takes, and whom it sends commands. They have to be the config's. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { definitionError } from '../aggregate/error.ts'
import type { ClusterConfig } from './config.ts'

type Lists = Partial<
  Pick<ClusterConfig, 'projections' | 'reactors' | 'outboxes' | 'inboxes' | 'processes' | 'schedules'>
> &
  Pick<ClusterConfig, 'name' | 'aggregates'>

interface Naming {
  /** In words. */
  readonly who: string
  readonly named: 'all' | 'published' | readonly Pick<Aggregate, 'type'>[]
}

/**
 * Of an aggregate that is missing nothing is served, and its events are read as they are stored, without its upcasters.
 * @throws PenholdError `BadDefinition` that says which is missing
 */
export function checkNamedAggregates(config: Lists): void {
  const { name, aggregates } = config
  const known = new Set(aggregates.map(({ type }) => type))
  for (const { who, named } of namingsOf(config)) {
    if (typeof named === 'string') continue
    const missing = named.find(({ type }) => !known.has(type))
    if (missing === undefined) continue
    throw definitionError(
      `cluster '${name}': the ${who} names the aggregate '${missing.type}', which is none of the cluster's; add it to aggregates`,
    )
  }
}

function namingsOf({
  projections = [],
  reactors = [],
  outboxes = [],
  inboxes = [],
  processes = [],
  schedules = [],
}: Lists): readonly Naming[] {
  return [
    ...projections.map(({ name, from }) => ({ who: `projection '${name}'`, named: from })),
    ...reactors.map(({ name, from }) => ({ who: `reactor '${name}'`, named: from })),
    ...outboxes.map(({ name, from }) => ({ who: `outbox '${name}'`, named: from })),
    ...inboxes.map(({ name, to }) => ({ who: `inbox '${name}'`, named: to })),
    ...processes.map(({ type, from, to }) => ({ who: `process '${type}'`, named: [...from, ...to] as Aggregate[] })),
    ...schedules.map(({ name, aggregate }) => ({ who: `schedule '${name}'`, named: [aggregate] })),
  ]
}
