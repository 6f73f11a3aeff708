/**
 * The read models as they must be: worked out by the plainest means from the desk's rows alone, for comparison with what
 * the projections have made of events.
 */
import type { Row } from '../rows.ts'
import type { Times } from './time-to-resolve.ts'
import type { ReadModels } from './read-models.ts'

/** An incident after its last row. */
interface Standing {
  readonly group: string | null
  readonly assignee: string | null
  readonly priority: number
  readonly reopenings: number
  readonly isDone: boolean
  readonly isClosed: boolean
  readonly isWithinSla: boolean
  readonly openedAt: string
  /** When it came to be done, where it is. */
  readonly resolvedAt: string | null
}

export class ExpectedReadModels {
  readonly #standings = new Map<string, Standing>()

  /** Takes the next row that the desk has accepted of an incident. */
  add({ number, opening, report }: Row): void {
    const { group, assignee, priority, reopenings, isWithinSla, state, at } = report
    const before = this.#standings.get(number)
    const isClosed = state === 'Closed'
    const isDone = isClosed || state === 'Resolved'
    const staysDone = before?.isDone === true && before.reopenings === reopenings
    const resolvedAt = isDone ? (staysDone ? before.resolvedAt : at) : null
    const openedAt = before?.openedAt ?? opening.openedAt
    const now = { group, assignee, priority, reopenings, isDone, isClosed, isWithinSla, openedAt, resolvedAt }
    this.#standings.set(number, now)
  }

  readModels(): ReadModels {
    const all = [...this.#standings.values()]
    const open = all.filter(({ isClosed }) => !isClosed)
    const closed = all.filter(({ isClosed }) => isClosed)
    const resolved = all.filter(({ resolvedAt }) => resolvedAt !== null)
    return {
      openByGroup: groupBy(open, ({ group }) => group)
        .map(([group, each]) => ({ group, open: each.length, unassigned: count(each, (one) => one.assignee === null) }))
        .toSorted((a, b) => b.open - a.open),
      openByAssignee: groupBy(open, ({ assignee }) => assignee)
        .map(([assignee, each]) => ({ assignee, open: each.length }))
        .toSorted((a, b) => b.open - a.open),
      timeByPriority: groupBy(resolved, (one) => one.priority).map(([priority, each]) => ({
        priority,
        ...times(each),
      })),
      timeByGroup: groupBy(resolved, ({ group }) => group).map(([group, each]) => ({ group, ...times(each) })),
      slaByPriority: groupBy(closed, ({ priority }) => priority).map(([priority, each]) => {
        const met = count(each, ({ isWithinSla }) => isWithinSla)
        return { priority, met, breached: each.length - met }
      }),
    }
  }
}

/** Ascending, null first. */
function groupBy<Key extends string | number | null>(
  all: readonly Standing[],
  keyOf: (one: Standing) => Key,
): readonly (readonly [Key, readonly Standing[]])[] {
  const rank = (key: Key): string | number => key ?? ''
  return [...Map.groupBy(all, keyOf)].toSorted(([a], [b]) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0))
}

function count(all: readonly Standing[], isSo: (one: Standing) => boolean): number {
  return all.filter(isSo).length
}

function times(resolved: readonly Standing[]): Times {
  const seconds = resolved
    .map(({ openedAt, resolvedAt }) => secondsOf(resolvedAt!) - secondsOf(openedAt))
    .toSorted((a, b) => a - b)
  const percentile = (share: number): number => seconds[Math.ceil((share * seconds.length) / 100) - 1]!
  return {
    resolved: seconds.length,
    mean: seconds.reduce((sum, each) => sum + each, 0) / seconds.length,
    median: percentile(50),
    p90: percentile(90),
    max: percentile(100),
  }
}

/** The desk's times have no zone. */
function secondsOf(time: string): number {
  const hasZone = /(Z|[+-]\d\d:\d\d)$/.test(time)
  return Math.floor(Date.parse(hasZone ? time : `${time}Z`) / 1000)
}
