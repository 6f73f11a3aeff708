/** What clients saw: each attempt, when it was made, when an answer came, and what it was. */

export interface Seen {
  readonly balance: number
  readonly count: number
  readonly hash: number
}

export type Outcome =
  | { readonly kind: 'accepted'; readonly version: number; readonly position: number }
  | { readonly kind: 'rejected'; readonly balance: number }
  | { readonly kind: 'read'; readonly seen: Seen }
  /** It says that nothing happened. */
  | { readonly kind: 'none'; readonly code: string }
  /** It says, or its silence says, that nobody knows. */
  | { readonly kind: 'unknown'; readonly code: string }

export interface Attempt {
  /** The command, or the read, that this is an attempt of: a retry has the same. */
  readonly operation: number
  readonly stream: string
  readonly kind: 'command' | 'read'
  /** Of a command. */
  readonly commandId: string
  /** The node it was sent through. */
  readonly via: object
  readonly invokedMs: number
  returnedMs: number
  outcome: Outcome
}

/** An event as the log has it in the end. */
export interface LoggedEvent {
  readonly stream: string
  readonly shard: number
  readonly seq: number
  readonly version: number
  readonly position: number
  readonly type: string
  readonly data: unknown
  readonly commandId: string
}
