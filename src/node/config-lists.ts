/** The lists of a config: each has what its `defineX` returned, under names of their own, and names aggregates of the config. */
import { definitionError, describe } from '../aggregate/error.ts'
import type { ClusterDefinition } from './config.ts'
import { KINDS, strangerIn, type Kind } from './definition-kinds.ts'
import { checkNamedAggregates } from './named-aggregates.ts'

/** @throws PenholdError `BadDefinition` that says what is wrong, and what to give */
export function checkLists(cluster: ClusterDefinition): void {
  for (const kind of KINDS) checkList(cluster, kind)
  const { name, aggregates, processes = [] } = cluster
  // A process is an aggregate, so that its type is one among theirs.
  const both = processes.find(({ type }) => aggregates.some((aggregate) => aggregate.type === type))
  if (both !== undefined) {
    throw definitionError(
      `cluster '${name}' has an aggregate and a process of the type '${both.type}'; give one of them another`,
    )
  }
  checkNamedAggregates(cluster)
}

function checkList(cluster: ClusterDefinition, { list, maker, isOne }: Kind): void {
  const { name, [list]: given } = cluster
  if (given === undefined && list !== 'aggregates') return
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
