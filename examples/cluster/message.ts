/** What the example and its nodes tell each other. */
import type { Replies } from '../incidents/intake.ts'
import type { Tally } from '../incidents/tally.ts'

/** Rows to take in: the incidents of one part of so many. */
export interface Job {
  readonly input: string | undefined
  readonly incidents: number
  readonly seed: number
  readonly part: number
  readonly parts: number
}

export type ToNode =
  | { readonly kind: 'take'; readonly job: Job }
  | { readonly kind: 'tally'; readonly numbers: readonly string[] }
  | { readonly kind: 'close' }

export type FromNode =
  | { readonly kind: 'serving' }
  | { readonly kind: 'rows'; readonly rows: number; readonly slowestMs: number }
  | { readonly kind: 'taken'; readonly part: number; readonly replies: Replies; readonly numbers: readonly string[] }
  | { readonly kind: 'tallied'; readonly tally: Tally }
  | { readonly kind: 'closed' }
  | { readonly kind: 'failed'; readonly message: string }
