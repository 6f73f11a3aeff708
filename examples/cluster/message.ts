/** What the example and its nodes tell each other. */
import type { Replies } from '../incidents/intake.ts'
import type { ReadModels } from '../incidents/read-models/read-models.ts'
import type { Tally } from '../incidents/tally.ts'

/** Rows to take in: the incidents of one part of so many. */
export interface Job {
  readonly input: string | undefined
  readonly incidents: number
  readonly seed: number
  readonly part: number
  readonly parts: number
}

/** What came of a job. */
export interface Taken {
  readonly replies: Replies
  /** The incidents. */
  readonly numbers: readonly string[]
  /** How far the log has been written, by what was replied. */
  readonly position: number
}

export type ToNode =
  | { readonly kind: 'take'; readonly job: Job }
  | { readonly kind: 'tally'; readonly numbers: readonly string[] }
  /** With all up to this position. */
  | { readonly kind: 'ask'; readonly after: number }
  | { readonly kind: 'close' }

export type FromNode =
  | { readonly kind: 'serving' }
  | { readonly kind: 'rows'; readonly rows: number; readonly slowestMs: number }
  | ({ readonly kind: 'taken' } & Taken)
  | { readonly kind: 'tallied'; readonly tally: Tally }
  | { readonly kind: 'asked'; readonly readModels: ReadModels }
  | { readonly kind: 'closed' }
  | { readonly kind: 'failed'; readonly message: string }
