/** The event store of a client: streams by name from their owners, and what goes over more than that from any node. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { hashPlain, NotPlain, plainBytes } from '../aggregate/plain.ts'
import { tooLarge } from '../actor/error.ts'
import { badPayload } from '../cluster/error.ts'
import { REQUEST_BYTES_MAX } from '../cluster/reading-frames.ts'
import type { ReadingLines } from '../cluster/reading-lines.ts'
import type { RefHost } from '../cluster/ref.ts'
import type { Clock } from '../log/clock.ts'
import type { LogRecord } from '../log/record.ts'
import { streamType } from '../log/stream.ts'
import type { RawOption } from './read-options.ts'
import type { AllRequest } from './reading-request.ts'
import { RunningReadingStore, type AnyStoredEvent } from './reading-store.ts'
import { remotePages, ResumableAll, ResumableStream, type Resumable } from './remote-reading.ts'
import { streamReader, wantedIn, type FollowOptions } from './stream-subscription.ts'

export interface ClientStoreOptions {
  readonly aggregates: readonly Aggregate[]
  readonly lines: ReadingLines
  readonly clock: Clock
  /** What has an end fails where no node can be reached for so long. */
  readonly patienceMs: number
}

export class RunningClientStore extends RunningReadingStore {
  readonly #options: ClientStoreOptions

  constructor(host: RefHost, options: ClientStoreOptions) {
    super(host, options.aggregates)
    this.#options = options
  }

  override async close(): Promise<void> {
    await super.close()
    this.#options.lines.close()
  }

  protected override allRecords(request: AllRequest, signal: AbortSignal): AsyncGenerator<readonly LogRecord[], void> {
    return this.#read(new ResumableAll(request), signal)
  }

  protected override follow(
    { stream, after = 0, filter: given, ...options }: FollowOptions & Partial<RawOption>,
    signal: AbortSignal,
  ): AsyncGenerator<AnyStoredEvent, void> {
    const isRaw = options.raw === true
    const aggregate = this.aggregates.get(streamType(stream))
    const filter = wantedIn(given, isRaw ? undefined : aggregate)
    const pages = this.#read(new ResumableStream({ stream, after, filter }), signal)
    return this.oneByOne<AnyStoredEvent>(pages, signal, streamReader(isRaw, aggregate))
  }

  #read(reading: Resumable, signal: AbortSignal): AsyncGenerator<readonly LogRecord[], void> {
    checkSendable(reading)
    return remotePages(reading, { ...this.#options, signal })
  }
}

/** @throws PenholdError `BadPayload`, `TooLarge` */
function checkSendable({ request }: Resumable): void {
  const what = 'what is to be read'
  try {
    hashPlain(request, 0)
  } catch (error) {
    if (error instanceof NotPlain) throw badPayload(what, `it cannot be sent (${error.message})`)
    throw error
  }
  const bytes = plainBytes(request)
  if (bytes > REQUEST_BYTES_MAX) throw tooLarge(`${what}, in bytes,`, bytes, REQUEST_BYTES_MAX)
}
