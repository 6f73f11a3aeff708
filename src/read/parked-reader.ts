/**
 * Reads a stream's parked events again, to be retried: in order, each once, a page of bounded size ahead. It holds one page.
 */
import { projectionState } from './error.ts'
import type { FeedEvent, Feeds } from './event-feed.ts'
import { comparePlaces } from './place.ts'
import type { ParkedEvent } from './read-model.ts'

export class ParkedReader {
  readonly #stream: string
  readonly #feeds: Feeds
  #pages: AsyncGenerator<readonly FeedEvent[], void> | undefined
  #page: readonly FeedEvent[] = []

  constructor(stream: string, feeds: Feeds) {
    this.#stream = stream
    this.#feeds = feeds
  }

  /**
   * The events that were parked, from the first of these on: as many as are at hand, and one at least.
   * @throws PenholdError `ProjectionState` where the log does not have one as it was parked
   */
  async take(parked: readonly ParkedEvent[]): Promise<readonly FeedEvent[]> {
    const [first] = parked
    if (first === undefined) return []
    await this.#readTo(first.version)
    const atHand = new Map(this.#page.map((event) => [event.version, event]))
    const events: FeedEvent[] = []
    for (const each of parked) {
      const event = atHand.get(each.version)
      if (event === undefined) break
      checkSame(event, each)
      events.push(event)
    }
    return events
  }

  async close(): Promise<void> {
    await this.#pages?.return()
  }

  /** Reads on, to the page that has this version. */
  async #readTo(version: number): Promise<void> {
    let isBegunHere = false
    while (!this.#page.some((event) => event.version === version)) {
      const isPast = this.#page.some((event) => event.version > version)
      const next = isPast ? undefined : await this.#pages?.next()
      if (next?.done === false) this.#page = next.value
      else if (isBegunHere) throw projectionState(`version ${version} of ${this.#stream} ${IS_GONE}`)
      else {
        // It was appended since the reading began, or somebody else retries the same.
        await this.close()
        this.#pages = this.#feeds.stream(this.#stream, version)
        this.#page = []
        isBegunHere = true
      }
    }
  }
}

const IS_GONE = 'was parked, and the log does not have it (any more); skip it, or rebuild the projection'

/** After a restore the same version may be another event. */
function checkSame(event: FeedEvent, { stream, version, place }: ParkedEvent): void {
  if (comparePlaces(event, place) === 0) return
  const positions = `at position ${place.position}, and the log has it at ${event.position}`
  throw projectionState(`version ${version} of ${stream} was parked ${positions}; skip it, or rebuild the projection`)
}
