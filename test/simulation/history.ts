/** What clients saw: each attempt, when it was made, when an answer came, and what it was. */

export interface Seen {
  readonly balance: number
  readonly count: number
  readonly hash: number
}

export type Outcome =
  | { readonly kind: 'accepted'; readonly version: number; readonly position: number }
  /** It shows the state that it was decided on. */
  | { readonly kind: 'rejected'; readonly seen: Seen }
  | { readonly kind: 'read'; readonly seen: Seen }
  /** It says that nothing happened. */
  | { readonly kind: 'none'; readonly code: string }
  /** It says, or its silence says, that nobody knows. */
  | { readonly kind: 'unknown'; readonly code: string }

export interface Attempt {
  /** The command that this is an attempt of; a retry with the same id has the same. Its events name it. */
  readonly by: number
  readonly stream: string
  /** How many events it makes where it takes effect; 0 for a read. */
  readonly events: number
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
  readonly by: number
}
