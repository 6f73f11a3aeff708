/** What the nodes of a cluster say of its inboxes, put together. Pure. */
import { WAITING_MS } from '../node/health.ts'
import type { LocalInbox } from '../node/inboxes.ts'
import { counted, oneLine } from './report.ts'
import { table } from './table.ts'

/** What one node says of those that it runs. */
export interface InboxesTold {
  /** Its name. */
  readonly node: string
  readonly inboxes: readonly LocalInbox[]
}

export interface ShownInbox extends Omit<LocalInbox, 'state'> {
  /** `unknown`: no node that says which it runs runs it, and some node does not say. */
  readonly state: LocalInbox['state'] | 'nowhere' | 'unknown'
  /** Which runs it. */
  readonly node: string | undefined
}

const NONE = '-'
const AWAY = { waitingMs: 0, trouble: undefined, place: undefined, parked: 0, lost: 0, rejected: 0, node: undefined }

/** Of each of the config's; `isWhole` where every node has said which it runs. */
export function shownInboxes(
  names: readonly string[],
  { told, isWhole }: { readonly told: readonly InboxesTold[]; readonly isWhole: boolean },
): readonly ShownInbox[] {
  return names.map((name): ShownInbox => {
    const found = told.flatMap(({ node, inboxes }) =>
      inboxes.filter((inbox) => inbox.name === name).map((inbox) => ({ ...inbox, node })),
    )
    return found[0] ?? { ...AWAY, name, state: isWhole ? 'nowhere' : 'unknown' }
  })
}

export function inboxTable(shown: readonly ShownInbox[]): string {
  const rows = shown.map(({ name, node, state, parked, lost, rejected, place }) =>
    node === undefined
      ? [name, NONE, state, NONE, NONE, NONE, NONE]
      : [name, node, state, parked, lost, rejected, place ?? NONE],
  )
  return table([['INBOX', 'NODE', 'STATE', 'PARKED', 'LOST', 'REJECTED', 'LAST MESSAGE'], ...rows])
}

/** What waits and goes on by itself, and what is parked: a reason a line, with what to do. */
export function inboxNotes(shown: readonly ShownInbox[]): readonly string[] {
  return shown.flatMap(({ name, state, parked, waitingMs, trouble }) => [
    ...(state === 'waiting' && waitingMs < WAITING_MS ? [waitLine(name, waitingMs, trouble)] : []),
    ...(parked === 0
      ? []
      : [`inbox ${name} has parked ${counted(parked, 'message')}: penhold parked list inbox:${name}`]),
  ])
}

/** What somebody should know of, one reason a line. */
export function inboxProblems(shown: readonly ShownInbox[]): readonly string[] {
  return shown.flatMap(({ name, state, waitingMs, trouble }) => {
    if (state === 'nowhere') return [`no node runs inbox ${name} at the moment; see that every shard has an owner`]
    return waitingMs < WAITING_MS ? [] : [waitLine(name, waitingMs, trouble)]
  })
}

function waitLine(name: string, ms: number, trouble = ''): string {
  return `inbox ${name} waits since ${Math.round(ms / 1000)} s, and tries again: ${oneLine(trouble)}`
}
