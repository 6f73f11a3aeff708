/** What clients of the simulated bank saw: each attempt, when it was made, when an answer came, and what it was. */
import type { Entry } from '../checker/history.ts'
import { digestOf, type View } from './bank.ts'

export type Outcome =
  /** Settled: it says that synchronous reactors have done all that they were to do. */
  | { readonly kind: 'accepted'; readonly version: number; readonly position: number; readonly isSettled: boolean }
  /** It shows the state that it was decided on. */
  | { readonly kind: 'rejected'; readonly seen: View }
  | { readonly kind: 'read'; readonly seen: View }
  /** It says that nothing happened. */
  | { readonly kind: 'none'; readonly code: string }
  /** It says, or its silence says, that nobody knows. */
  | { readonly kind: 'unknown'; readonly code: string }

export interface Attempt {
  /** The command that this is an attempt of; a retry with the same id has the same. Its events name it. */
  readonly by: number
  readonly stream: string
  readonly isRead: boolean
  /** How many events it makes where it takes effect. */
  readonly events: number
  /** It goes through the aggregate's mailbox, in the order of sending. */
  readonly isQueued: boolean
  /** The node it was sent through, and which of all it was; undefined where the node never came to it. */
  readonly via: object
  sent: number | undefined
  readonly invokedAt: number
  returnedAt: number
  outcome: Outcome
}

/** As the checker takes it; undefined for a read that failed. */
export function entryOf({ by, stream, isRead, events, invokedAt, returnedAt, outcome }: Attempt): Entry | undefined {
  const times = { stream, invokedAt, returnedAt }
  if (isRead) return outcome.kind === 'read' ? { kind: 'read', ...times, seen: seenOf(outcome.seen) } : undefined
  const command = { kind: 'command', ...times, commandId: String(by), events } as const
  switch (outcome.kind) {
    case 'accepted': {
      const { version, position } = outcome
      if (events > 0) return { ...command, outcome: { kind: 'accepted', version, position } }
      return { ...command, outcome: { kind: 'declined', seen: { version } } }
    }
    case 'rejected':
    case 'read':
      return { ...command, outcome: { kind: 'declined', seen: seenOf(outcome.seen) } }
    case 'none':
    case 'unknown':
      return { ...command, outcome: { kind: outcome.kind } }
  }
}

function seenOf(view: View): { readonly version: number; readonly digest: string } {
  return { version: view.count, digest: digestOf(view) }
}
