/** What a config defines names aggregates: whose events it takes, and whom it sends commands. They have to be the config's. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { definitionError } from '../aggregate/error.ts'
import type { ClusterDefinition } from './config.ts'

interface Naming {
  /** In words. */
  readonly who: string
  readonly named: 'all' | 'published' | readonly Pick<Aggregate, 'type'>[]
}

/**
 * Of an aggregate that is missing nothing is served, and its events are read as they are stored, without its upcasters.
 * @throws PenholdError `BadDefinition` that says which is missing
 */
export function checkNamedAggregates(cluster: ClusterDefinition): void {
  const { name, aggregates } = cluster
  const known = new Set(aggregates.map(({ type }) => type))
  for (const { who, named } of namingsOf(cluster)) {
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
}: ClusterDefinition): readonly Naming[] {
  return [
    ...projections.map(({ name, from }) => ({ who: `projection '${name}'`, named: from })),
    ...reactors.map(({ name, from }) => ({ who: `reactor '${name}'`, named: from })),
    ...outboxes.map(({ name, from }) => ({ who: `outbox '${name}'`, named: from })),
    ...inboxes.map(({ name, to }) => ({ who: `inbox '${name}'`, named: to })),
    ...processes.map(({ type, from, to }) => ({ who: `process '${type}'`, named: [...from, ...to] as Aggregate[] })),
    ...schedules.map(({ name, aggregate }) => ({ who: `schedule '${name}'`, named: [aggregate] })),
  ]
}
