/**
 * What is known of timers beside the facts that set them: two aggregates of Penhold's own, both derived from those facts and
 * both in the shard of those who set them. `$due` is a bucket: timers that are due in some time. `$timers` knows which buckets
 * of a shard are open, so that nobody looks for them.
 *
 * T1. A timer is in an open bucket from before its fact counts as handled until it was fired, or is in another open bucket.
 * T2. A bucket is closed once, when all that was ever put into it was fired or is in others. Nothing is put into it later:
 *     whoever wanted to opens another.
 * T3. A bucket is opened before anything is put into it, and by nobody but whoever began last: that one knows all of them.
 */
import { defineAggregate, type Aggregate } from '../aggregate/aggregate.ts'
import { internal } from '../aggregate/internal.ts'
import type { Bucket } from './timer-buckets.ts'

/** A timer in a bucket. */
export interface DueTimer {
  readonly at: number
  /** Who is told when it is due: who set it. */
  readonly stream: string
  readonly id: string
  /** Made anew whenever a timer of this id is set: it tells this one from those before and after it. */
  readonly token: string
  /** Of the fact that set it. */
  readonly position: number
  readonly causationId: string
  readonly correlationId: string
}

/** By name, which names its stream. There may be several of the same time. */
type OpenBuckets = Readonly<Record<string, Bucket>>

/** Which buckets of a shard are open. One stream a shard. */
export const TimersRecord: Aggregate = internal(
  defineAggregate({
    type: 'timers',
    initialState: (): { readonly term: string; readonly open: OpenBuckets } => ({ term: '', open: {} }),
    events: {
      Began: ({ open }, { term }: { readonly term: string }) => ({ term, open }),
      Opened: ({ term, open }, { buckets }: { readonly buckets: OpenBuckets }) => ({
        term,
        open: { ...open, ...buckets },
      }),
      Forgotten: ({ term, open }, { name }: { readonly name: string }) => {
        const { [name]: _gone, ...others } = open
        return { term, open: others }
      },
    },
    commands: {
      begin: (_state, began: { readonly term: string }, { emit }) => emit.Began(began),
      open: (state, { term, buckets }: { readonly term: string; readonly buckets: OpenBuckets }, { emit, reject }) => {
        if (term !== state.term) return reject('superseded')
        const added = Object.entries(buckets).filter(([name]) => state.open[name] === undefined)
        return added.length === 0 ? undefined : emit.Opened({ buckets: Object.fromEntries(added) })
      },
      /** Of a bucket that is closed. */
      forget: ({ open }, { name }: { readonly name: string }, { emit }) =>
        open[name] === undefined ? undefined : emit.Forgotten({ name }),
    },
    queries: { open: ({ open }) => open },
  }),
)

/** A bucket. Its state does not have what is in it: that is read from its events. */
export const DueRecord: Aggregate = internal(
  defineAggregate({
    type: 'due',
    initialState: () => ({ puts: 0, isClosed: false }),
    events: {
      Put: ({ puts, isClosed }, _put: { readonly timers: readonly DueTimer[] }) => ({ puts: puts + 1, isClosed }),
      Closed: ({ puts }) => ({ puts, isClosed: true }),
    },
    commands: {
      put: ({ isClosed }, put: { readonly timers: readonly DueTimer[] }, { emit, reject }) =>
        isClosed ? reject('closed') : emit.Put(put),
      /** By whoever has done with so many puts. */
      close: (state, { puts }: { readonly puts: number }, { emit, reject }) => {
        if (state.isClosed) return undefined
        return state.puts === puts ? emit.Closed() : reject('more')
      },
    },
  }),
)
