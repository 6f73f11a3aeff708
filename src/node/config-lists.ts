/** The lists of a config: each has what its `defineX` returned, under names of their own, and names aggregates of the config. */
import { isAggregate } from '../aggregate/aggregate.ts'
import { definitionError, describe } from '../aggregate/error.ts'
import { isInbox } from '../react/inbox.ts'
import { isOutbox } from '../react/outbox.ts'
import { isProcess } from '../react/process.ts'
import { isReactor } from '../react/reactor.ts'
import { isSchedule } from '../react/schedule.ts'
import { isProjection } from '../read/projection.ts'
import type { ClusterDefinition } from './config.ts'
import { strangerIn } from './definition-kinds.ts'
import { checkNamedAggregates } from './named-aggregates.ts'

interface List {
  /** In the config, and of messages. */
  readonly list: string
  readonly given: unknown
  readonly maker: string
  readonly isOne: (value: unknown) => boolean
}

/** @throws PenholdError `BadDefinition` that says what is wrong, and what to give */
export function checkLists(cluster: ClusterDefinition): void {
  const { name, aggregates, projections = [], reactors = [], outboxes = [], inboxes = [] } = cluster
  const { processes = [], schedules = [] } = cluster
  const lists: readonly List[] = [
    { list: 'aggregates', given: aggregates, maker: 'defineAggregate', isOne: isAggregate },
    { list: 'projections', given: projections, maker: 'defineProjection', isOne: isProjection },
    { list: 'reactors', given: reactors, maker: 'defineReactor', isOne: isReactor },
    { list: 'outboxes', given: outboxes, maker: 'defineOutbox', isOne: isOutbox },
    { list: 'inboxes', given: inboxes, maker: 'defineInbox', isOne: isInbox },
    { list: 'processes', given: processes, maker: 'defineProcess', isOne: isProcess },
    { list: 'schedules', given: schedules, maker: 'defineSchedule', isOne: isSchedule },
  ]
  for (const list of lists) checkList(name, list)
  // A process is an aggregate, so that its type is one among theirs.
  const both = processes.find(({ type }) => aggregates.some((aggregate) => aggregate.type === type))
  if (both !== undefined) {
    throw definitionError(
      `cluster '${name}' has an aggregate and a process of the type '${both.type}'; give one of them another`,
    )
  }
  checkNamedAggregates(cluster)
}

function checkList(name: string, { list, given, maker, isOne }: List): void {
  if (!Array.isArray(given)) {
    throw definitionError(`cluster '${name}': ${list} is ${describe(given)}; give a list of what ${maker} returned`)
  }
  const all = given as readonly { readonly name?: string; readonly type?: string }[]
  const stranger = all.findIndex((each) => !isOne(each))
  if (stranger >= 0) {
    throw definitionError(`cluster '${name}': ${list}[${stranger}] is ${strangerIn(given[stranger], maker)}`)
  }
  // What has a name has it in the log, or in a store.
  const names = all.map((each) => each.name ?? each.type)
  const twice = names.find((each, i) => names.indexOf(each) !== i)
  if (twice === undefined) return
  const called = all[0]?.type === undefined ? 'name' : 'type'
  throw definitionError(
    `cluster '${name}' has two ${list} of the ${called} '${twice}'; give one of them another, or take it out`,
  )
}
