/** What the supervisor and a node's process say to each other. */
import type { Overrides } from '../../src/index.ts'
import type { ProjectionState } from '../../src/read/projection-status.ts'
import type { AccountCommand, AccountState } from './account.ts'
import type { ProjectionName } from './projections.ts'
import type { ReactionCall } from './reactions/at-node.ts'
import type { Fact } from './reactions/facts.ts'

export type Call =
  | {
      readonly kind: 'command'
      readonly name: AccountCommand
      readonly commandId: string
      readonly payload: { readonly amount: number; readonly text: string }
    }
  | { readonly kind: 'query' }
  | { readonly kind: 'state'; readonly atVersion?: number | undefined }

export interface Request {
  readonly account: string
  readonly call: Call
  readonly timeoutMs: number | undefined
}

export type Answer =
  | { readonly kind: 'accepted'; readonly version: number; readonly position: number; readonly events: number }
  | { readonly kind: 'rejected'; readonly seen: AccountState }
  | { readonly kind: 'shown'; readonly seen: AccountState }
  | { readonly kind: 'failed'; readonly code: string; readonly outcome: 'none' | 'unknown'; readonly message: string }

/** What somebody asks of a node's projection, or does with it. */
export type ProjectionCall = { readonly projection: ProjectionName } &
  /** Whether this event has taken effect, asked for once the read model has all up to a position. */
  (
    | { readonly kind: 'sees'; readonly stream: string; readonly version: number; readonly after: number }
    | { readonly kind: 'status' }
    | { readonly kind: 'retry' }
    | {
        readonly kind: 'pause' | 'resume' | 'rebuild' | 'resumeRebuild' | 'abortRebuild' | 'promote' | 'rollBack'
      }
  )

/** How a node says that one of its projections is. */
export interface ToldStatus {
  readonly generation: number
  readonly state: ProjectionState
  /** How many run there. */
  readonly lanes: number
  readonly rebuild: ProjectionState | undefined
  readonly isHeldBack: boolean
  readonly unfinished: number | undefined
  readonly trouble: string | undefined
  readonly lagMs: number | undefined
}

/** What somebody asks of what a node does beside answering commands. */
export type NodeCall = ProjectionCall | ReactionCall

export type CallAnswer =
  | { readonly kind: 'answered'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }

export type ToNode =
  | { readonly kind: 'open'; readonly overrides: Overrides }
  | ({ readonly kind: 'request'; readonly request: number } & Request)
  | { readonly kind: 'call'; readonly request: number; readonly call: NodeCall }
  | { readonly kind: 'status' }
  /** It is to tell of every event behind that place, and of what comes. */
  | {
      readonly kind: 'follow'
      readonly follower: number
      readonly after: string | undefined
      /** By a client beside the node, which reads from any. */
      readonly isClient: boolean
    }
  /** Its wall clock is to be so many milliseconds before or after the machine's. */
  | { readonly kind: 'clock'; readonly ms: number }
  | { readonly kind: 'close' }

export type FromNode =
  /** Its modules are loaded; nothing was opened yet. */
  | { readonly kind: 'booted' }
  | { readonly kind: 'opened'; readonly ms: number }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'answer'; readonly request: number; readonly answer: Answer }
  | { readonly kind: 'called'; readonly request: number; readonly answer: CallAnswer }
  | { readonly kind: 'heard'; readonly follower: number; readonly events: readonly Heard[] }
  /** It tells a follower of no more events, and why. */
  | { readonly kind: 'deaf'; readonly follower: number; readonly reason: string }
  | { readonly kind: 'warning'; readonly message: string }
  | { readonly kind: 'status'; readonly status: Status }

/** An event that a node tells of. */
export interface Heard {
  readonly stream: string
  readonly version: number
  readonly place: string
}

export interface Status {
  readonly workerRestarts: number
  /** Of a node of several: what it has last heard from the lease store. */
  readonly members: number
  readonly leases: number
  readonly isSettling: boolean
}

export interface ToLogReader {
  readonly dataDir: string
  readonly accounts: readonly string[]
  /** Whether nodes have reacted: then all that this has left is read as well. */
  readonly hasReactions: boolean
  /** Indexes are derived: without them the same must be found. */
  readonly dropsIndexes: boolean
}

export interface FromLogReader {
  /** What a node that was started anew shows of each account. */
  readonly shown: readonly (readonly [stream: string, seen: AccountState])[]
  /** Of accounts. */
  readonly events: readonly StreamOfFacts[]
  /** Of all other streams. */
  readonly others: readonly StreamOfFacts[]
  /** Shards that could not be opened, and everything else that no reader should meet. */
  readonly problems: readonly string[]
}

export type StreamOfFacts = readonly [stream: string, events: readonly Fact[]]
