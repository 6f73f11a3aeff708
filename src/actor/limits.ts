/** The bounds on what a worker holds and does. Each has a default; all can be set in `cluster.config.ts`. */
export interface ActorLimits {
  /** Messages under way for one aggregate; one more gets `MailboxFull`. */
  readonly mailboxMax: number
  /** Commands an aggregate remembers by id. */
  readonly dedupeWindow: number
  /** Actors in memory of one worker; beyond it the least recently used go. */
  readonly activeActorsMax: number
  /** An actor that nobody has used for so long leaves memory. */
  readonly passivateAfterMs: number
  /** Bytes of a command's payload, and of what its events take. */
  readonly commandBytesMax: number
  readonly eventsPerCommandMax: number
}

export const DEFAULT_ACTOR_LIMITS: ActorLimits = {
  mailboxMax: 1_000,
  dedupeWindow: 1_000,
  activeActorsMax: 50_000,
  passivateAfterMs: 10 * 60_000,
  commandBytesMax: 1024 * 1024,
  eventsPerCommandMax: 1_000,
}
