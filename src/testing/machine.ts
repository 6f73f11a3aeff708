/**
 * A machine on which an aggregate runs, and what can befall it. The kit's stories know no more than this of it; behind
 * it is the real runtime, from the router down to the log, over a simulated disk (simulated-machine.ts).
 */
import type { EmittedEvent } from '../aggregate/aggregate.ts'
import type { Step } from './story.ts'

export interface Question {
  /** The aggregate's id. */
  readonly id: string
  readonly name: string
  readonly payload: unknown
  readonly metadata: Readonly<Record<string, unknown>>
  readonly commandId: string
  /** Nobody has sent it before. */
  readonly isFirst: boolean
}

export interface Answer {
  readonly version: number
  readonly events: readonly EmittedEvent[]
}

/** An event as it stands in the log. */
export interface LoggedEvent extends EmittedEvent {
  readonly version: number
  readonly commandId: string
}

export type Misfortune = Extract<Step, { readonly kind: 'die' | 'disk' }>

export interface Machine {
  /** @throws Rejected or PenholdError, as a ref does */
  ask(question: Question): Promise<Answer>
  query(id: string, name: string): Promise<unknown>
  /** The durable state, now or at a version. */
  state(id: string, atVersion?: number): Promise<unknown>
  /** Lets all happen that can happen without time passing. What died is started again. */
  turn(): Promise<void>
  /** Lets time pass. */
  pass(ms: number): void
  /** Will happen, once, at one of the next steps at the disk. */
  arrange(misfortune: Misfortune): void
  /** Nothing that was arranged will happen any more. */
  spare(): void
  /** All that is idle leaves memory. */
  passivate(): void
  restart(): Promise<void>
  /** Ends it for good, with the power lost; then gives what its disk still has of these aggregates. */
  bury(ids: readonly string[]): Promise<ReadonlyMap<string, readonly LoggedEvent[]>>
}
