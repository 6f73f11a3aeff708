/** `$all` of a running cluster, page by page: what there is, and then what comes, without a seam. */
import type { Catalog } from '../log/catalog.ts'
import type { LogRecord } from '../log/record.ts'
import { AllReader, type AcceptedLoss, type AllPlace } from './all.ts'
import { behind, checkPlace, comparePlaces } from './place.ts'
import type { Frontiers } from './frontiers.ts'

/** Events that come one after the other. */
export interface Page {
  readonly events: readonly LogRecord[]
  /** All that comes before it was in this page or in one before. */
  readonly place: AllPlace
}

export interface AllFeedOptions {
  /** Behind which place. */
  readonly after: AllPlace
  /** To the end that there was when it was asked for, or on and on. */
  readonly isLive: boolean
  readonly signal: AbortSignal
  /** Told before what comes behind a loss. */
  readonly onLoss: (loss: AcceptedLoss) => void
  /** The place may lie ahead of the log, as that of a time does: what comes up to there is left out. */
  readonly mayBeAhead?: boolean
  /** Not live: the last place that is read. */
  readonly until?: AllPlace | undefined
  /** As a reader of everything has it: what else is left out where so much is saved. */
  readonly isWanted?: ((eventType: string) => boolean) | undefined
}

/**
 * Pages are read when they are taken. Ends where the signal says so.
 * @throws PenholdError `PlaceAhead` where the place is none of this log's; `LogCorrupt`
 */
export async function* allPages(
  log: { readonly catalog: Catalog; readonly frontiers: Frontiers },
  { after, isLive, signal, onLoss, mayBeAhead = false, until, isWanted }: AllFeedOptions,
): AsyncGenerator<Page> {
  const head = await log.frontiers.head(signal)
  if (head === undefined) return
  // Whoever has come so far has been told so by an owner, and those who own shards now go on above that.
  if (after.position > 0 && !mayBeAhead)
    checkPlace(after.position, { head, restorations: await log.catalog.restorations() })
  const reader = new AllReader(log.catalog, { after, onLoss, isWanted })
  const end = Math.min(head, until?.position ?? head)
  let done = isLive ? after.position - 1 : Math.max(after.position, end) - 1
  while (isLive || done < end) {
    const frontier = await log.frontiers.beyond(done, signal)
    if (frontier === undefined) return
    const position = until === undefined ? frontier.position : Math.min(frontier.position, until.position)
    for await (const read of reader.advance({ ...frontier, position })) {
      if (signal.aborted) return
      const isBehind = until !== undefined && comparePlaces(reader.after, until) > 0
      const events = isBehind ? read.filter((event) => comparePlaces(event, until) <= 0) : read
      yield { events, place: isBehind ? until : reader.after }
    }
    done = position
    // Of no shard anything more comes at this position: whoever waits for it need not know which had the last event there.
    yield { events: [], place: behind(done) }
  }
}
