/**
 * Which events of a reply synchronous reactors want. A worker asks before it lets a reply go, so that those that nobody waits for go
 * on unread; its node asks again to know whose first attempt the reply waits for.
 */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { currentName } from '../aggregate/upcaster.ts'
import { splitRecords } from '../log/recorded-event.ts'
import type { Slice } from '../log/slice.ts'
import { isInternal, streamType } from '../log/stream.ts'
import type { AwaitedEvent } from './attempts-awaited.ts'
import type { Reactor } from './reactor.ts'
import { wantedBy } from './reactor-consumer.ts'

/** The last event of a reply that a reactor wants. */
export interface Wanted {
  readonly reactor: string
  readonly event: AwaitedEvent
}

export class SynchronousReactors {
  readonly #reactors: readonly { readonly name: string; readonly wants: ReturnType<typeof wantedBy> }[]
  /** Categories of streams; undefined for all but internal ones. */
  readonly #sources: ReadonlySet<string> | undefined
  readonly #aggregates: ReadonlyMap<string, Aggregate>

  private constructor(reactors: readonly Reactor[], aggregates: readonly Aggregate[]) {
    this.#reactors = reactors.map((reactor) => ({ name: reactor.name, wants: wantedBy(reactor) }))
    const sources = reactors.map(({ from }) => from)
    this.#sources = sources.includes('all')
      ? undefined
      : new Set(sources.flatMap((from) => (from === 'all' ? [] : from.map(({ type }) => type))))
    this.#aggregates = new Map(aggregates.map((aggregate) => [aggregate.type, aggregate]))
  }

  /** Those of a config; undefined where it has none. */
  static of(config: {
    readonly reactors: readonly Reactor[]
    readonly aggregates: readonly Aggregate[]
  }): SynchronousReactors | undefined {
    const synchronous = config.reactors.filter(({ mode }) => mode === 'synchronous')
    return synchronous.length === 0 ? undefined : new SynchronousReactors(synchronous, config.aggregates)
  }

  /** Whether they may want something of a stream. */
  isSource(stream: string): boolean {
    return this.#sources === undefined ? !isInternal(stream) : this.#sources.has(streamType(stream))
  }

  /** Who waits for what of a reply, whose records stand one after the other. */
  wanted(records: Slice): readonly Wanted[] {
    const last = new Map<string, AwaitedEvent>()
    for (const { stream, shard, type: stored, version, position, seq } of splitRecords(records)) {
      const aggregate = this.#aggregates.get(streamType(stream))
      const type = aggregate === undefined ? stored : currentName(aggregate, stored)
      for (const { name, wants } of this.#reactors) {
        if (wants({ type, stream })) last.set(name, { stream, shard, version, position, seq })
      }
    }
    return [...last].map(([reactor, event]) => ({ reactor, event }))
  }
}
