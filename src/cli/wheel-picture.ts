/** What the nodes of a cluster say of the timers that wait in their shards, put together. Pure. */
import type { ToldWheels } from '../node/consumer-operation.ts'
import { waitNotes, waitOf, waitProblems, type ShownWait } from './reactor-picture.ts'
import { counted } from './report.ts'

export interface ShownWheels {
  /** So many are due within a minute or two, and in memory. */
  readonly held: number
  /** Shards whose timers stand still, and go on by themselves. */
  readonly waiting: ShownWait | undefined
  /** By type: so many are due of aggregates or processes that the config of the nodes that serve them does not have. */
  readonly ownerless: Readonly<Record<string, number>>
}

export function shownWheels(told: readonly ToldWheels[]): ShownWheels {
  const counts = new Map<string, number>()
  for (const [type, count] of told.flatMap(({ ownerless }) => Object.entries(ownerless))) {
    counts.set(type, (counts.get(type) ?? 0) + count)
  }
  return {
    held: told.reduce((sum, { held }) => sum + held, 0),
    waiting: waitOf(told),
    ownerless: Object.fromEntries(counts),
  }
}

const WHO = 'what runs timers'

/** What somebody should know of, one reason a line. */
export function wheelProblems({ waiting }: ShownWheels): readonly string[] {
  return waitProblems(WHO, waiting)
}

/** What waits: a reason a line, with what to do. */
export function wheelNotes({ waiting, ownerless }: ShownWheels): readonly string[] {
  return [
    ...waitNotes(WHO, waiting),
    ...Object.entries(ownerless).map(
      ([type, count]) =>
        `${counted(count, 'timer')} of '${type}' ${count === 1 ? 'is' : 'are'} due, and no config has it that serves them: they wait until one does`,
    ),
  ]
}
