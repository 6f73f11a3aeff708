/**
 * A history: what clients sent and were told, with the times at which they sent it and were told; and the log that is
 * held against it. Whoever records a history stands outside of what may fail. Times are of one monotonic clock.
 */

/** What a client was shown of an aggregate: its version, and a digest of all events up to there, where it has one. */
export interface Seen {
  readonly version: number
  readonly digest?: string | number
}

interface Timed {
  readonly stream: string
  /** Before it was sent. */
  readonly invokedAt: number
  /** After the reply was there; infinite where none came. */
  readonly returnedAt: number
}

/** One sending of a command. The same command may be sent several times, with the same id. */
export interface CommandEntry extends Timed {
  readonly kind: 'command'
  readonly commandId: string
  /** How many events the command makes where it takes effect. */
  readonly events: number
  readonly outcome: CommandOutcome
  /** The node that was to send it, and its place among all that this one was given; for check-senders.ts. */
  readonly via?: { readonly node: number; readonly order: number }
  /** Whether it comes to nothing on some states. */
  readonly mayBeRejected?: boolean
}

export type CommandOutcome =
  /** Its events are durable; the version and position are those of its last one. */
  | { readonly kind: 'accepted'; readonly version: number; readonly position: number }
  /** It was decided on this state and made no events: rejected, or nothing was to be done. */
  | { readonly kind: 'declined'; readonly seen: Seen }
  /** This sending did nothing and will do nothing. */
  | { readonly kind: 'none' }
  /** Nobody can know; it may even take effect later. */
  | { readonly kind: 'unknown' }

/** A read of the newest state. One that failed is no entry. */
export interface ReadEntry extends Timed {
  readonly kind: 'read'
  readonly seen: Seen
}

/** A look at a version of the past: true at any time. */
export interface PastEntry extends Timed {
  readonly kind: 'past'
  readonly seen: Seen
}

export type Entry = CommandEntry | ReadEntry | PastEntry

/** An event as it was found in the log, by whoever read it last. */
export interface LoggedEvent {
  readonly version: number
  readonly commandId: string
  readonly position: number
  readonly shard: number
  readonly seq: number
  /** Of all events of the stream up to this one, by the same rule as in `Seen`. */
  readonly digest?: string | number
  /** Who wrote it, where the reader knows: the epoch of its shard, and the journal. */
  readonly owner?: { readonly epoch: number; readonly journal: number }
}

/** The events of every stream that the history names, in the order in which they were read. */
export type LoggedStreams = ReadonlyMap<string, readonly LoggedEvent[]>

export type ViolationKind =
  | 'version-gap'
  | 'position-order'
  | 'seq-gap'
  | 'two-writers'
  | 'never-sent'
  | 'duplicate-effect'
  | 'torn-command'
  | 'lost-acknowledgement'
  | 'wrong-version'
  | 'wrong-position'
  | 'definite-failure-took-effect'
  | 'decided-again'
  | 'unknown-state'
  | 'half-a-command-seen'
  | 'stale-read'
  | 'order-broken'
  | 'cause-order'
  | 'sender-order'

export interface Violation {
  readonly kind: ViolationKind
  readonly stream: string
  readonly message: string
}
