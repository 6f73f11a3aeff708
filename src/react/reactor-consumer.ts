/** A reactor as what runs it sees it: a consumer. */
import { isAggregate, type Aggregate } from '../aggregate/aggregate.ts'
import { describe, Rejected } from '../aggregate/error.ts'
import { isThenable } from '../aggregate/synchronous.ts'
import { deriveId } from '../log/identity.ts'
import { idProblem, isInternal, streamName, streamType } from '../log/stream.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import { unchanging } from '../read/feed-event.ts'
import { Asked } from './asked.ts'
import type { Consumer, Reaction } from './consumer.ts'
import type { Reactor, ReactorContext, SendOptions, Sent } from './reactor.ts'
import { ReactorTimers, type When } from './timer.ts'
import { SaidOtherwise } from './unless-known.ts'

export function reactorConsumer(reactor: Reactor, onWarning: (message: string) => void): Consumer {
  const otherwise = new SaidOtherwise(onWarning)
  const { name, startAt, mode, onFailure, retries, handlerTimeoutMs, concurrency } = reactor
  return {
    kind: 'reactor',
    name,
    isWanted: wantedBy(reactor),
    startAt,
    onFailure,
    retries,
    handlerTimeoutMs,
    concurrency,
    does: { one: (event, reaction) => react(reactor, event, { reaction, otherwise }) },
    isSynchronous: mode === 'synchronous',
  }
}

/** Which events it takes, under the names that they have today. */
export function wantedBy({ from, on }: Reactor): (event: Pick<FeedEvent, 'type' | 'stream'>) => boolean {
  const types = from === 'all' ? undefined : new Set(from.map(({ type }) => type))
  return ({ type, stream }) => {
    if (on[type] === undefined) return false
    // Aggregates may have events of the same name.
    return types === undefined ? !isInternal(stream) : types.has(streamType(stream))
  }
}

interface Handled {
  readonly reaction: Reaction
  readonly otherwise: SaidOtherwise
}

function react(reactor: Reactor, event: FeedEvent, handled: Handled): unknown {
  const context = new EventContext(reactor.name, event, handled)
  const returned = reactor.on[event.type]!(unchanging(event), context)
  if (!isThenable(returned)) return context.isWaitedFor ? context.told() : returned
  // What it tells, it may tell late: all that was told by its end counts, and what it has asked and does not wait for.
  return Promise.resolve(returned).then(() => context.told())
}

/** A `ReactorContext`. Its functions may be taken out of it. */
class EventContext implements ReactorContext {
  readonly #timers: ReactorTimers
  readonly #event: FeedEvent
  readonly #reaction: Reaction
  /** By stream, so many commands without a key. */
  readonly #sent = new Map<string, number>()
  /** Rejected where one of them failed. */
  readonly #told: Promise<unknown>[] = []
  /** What is not known to have gone well, as it was given out, and as it is. */
  readonly #asked = new Map<Asked<any>, Promise<unknown>>()

  constructor(reactor: string, event: FeedEvent, { reaction, otherwise }: Handled) {
    const { id: causationId, position: after, time, metadata } = event
    const cause = { correlationId: metadata.correlationId, causationId, after }
    const { effects, idempotencyKey } = reaction
    const onOther = (timer: string): void => otherwise.tell(`reactor '${reactor}'`, `its timer '${timer}'`)
    this.#timers = new ReactorTimers({ effects, idempotencyKey, owner: reactor, cause, time, onOther })
    this.#event = event
    this.#reaction = reaction
  }

  get idempotencyKey(): string {
    return this.#reaction.idempotencyKey
  }

  get attempt(): number {
    return this.#reaction.attempt
  }

  get signal(): AbortSignal {
    return this.#reaction.signal
  }

  get isWaitedFor(): boolean {
    return this.#told.length > 0 || this.#asked.size > 0
  }

  /** What is still asked when its handler has ended is nobody's, and so is a failure that nobody has looked at: they count as told. */
  async told(): Promise<void> {
    const left = [...this.#asked].filter(([asked]) => !asked.isDealtWith)
    await Promise.all([...this.#told, ...left.map(([, sent]) => unlessRejected(sent))])
  }

  readonly ask = (
    aggregate: Aggregate,
    id: string,
    name: string,
    payload?: unknown,
    options: SendOptions = {},
  ): Promise<Sent> => this.#waitedFor(this.#send(aggregate, id, name, payload, options))

  async #send(
    aggregate: Aggregate,
    id: string,
    name: string,
    payload?: unknown,
    options: SendOptions = {},
  ): Promise<Sent> {
    const { id: causationId, position, metadata } = this.#event
    checkSent(aggregate, id, options)
    const { key, timeoutMs } = options
    const stream = streamName(aggregate.type, id)
    const outcome = await this.#reaction.effects.ask({
      stream,
      name,
      payload,
      commandId: deriveId(
        'sent',
        this.idempotencyKey,
        stream,
        ...(key === undefined ? [this.#next(stream)] : ['key', key]),
      ),
      correlationId: metadata.correlationId,
      causationId,
      after: position,
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
    if (outcome.kind === 'rejected') throw new Rejected(outcome.code, outcome.details, { stream, name })
    return { version: outcome.version, position: outcome.position }
  }

  /**
   * The number of a command among those to its aggregate: in which order it is sent among others' is chance, where it waits for
   * something before, or another thing with newer code.
   */
  #next(stream: string): number {
    const number = this.#sent.get(stream) ?? 0
    this.#sent.set(stream, number + 1)
    return number
  }

  readonly tell = (
    aggregate: Aggregate,
    id: string,
    name: string,
    payload?: unknown,
    options: SendOptions = {},
  ): void => {
    const sent = unlessRejected(this.#send(aggregate, id, name, payload, options))
    // Whoever waits for it is told; it may be nobody, where the handler has thrown.
    sent.catch(() => undefined)
    this.#told.push(sent)
  }

  readonly schedule = (
    id: string,
    when: When,
    ...[aggregate, aggregateId, command, payload]: [Aggregate, string, string, unknown?]
  ): Promise<void> => this.#waitedFor(this.#timers.schedule(id, when, { aggregate, id: aggregateId, command, payload }))

  readonly cancel = (id: string): Promise<void> => this.#waitedFor(this.#timers.cancel(id))

  /** The event is not done with before it, whether or not the handler waits for it. */
  #waitedFor<Answer>(work: Promise<Answer>): Promise<Answer> {
    const asked = Asked.of(work)
    this.#asked.set(asked, work)
    work.then(
      () => this.#asked.delete(asked),
      () => undefined,
    )
    return asked
  }
}

const SEND_OPTIONS: readonly string[] = ['key', 'timeoutMs']

/** An option that is misspelt would have no effect: a key by which nothing is known again. What is no id would make a stream all the same. */
function checkSent(aggregate: unknown, id: unknown, options: SendOptions): void {
  if (!isAggregate(aggregate)) {
    throw new TypeError(`a command is sent to ${describe(aggregate)}; give what defineAggregate returned`)
  }
  const problem = idProblem(id)
  if (problem !== undefined) throw new TypeError(`a command is sent to nobody: ${problem}`)
  for (const option in options) {
    if (SEND_OPTIONS.includes(option)) continue
    throw new TypeError(`a command is sent with '${option}', and there is no such option; there are key, timeoutMs`)
  }
}

/** A rejection is an outcome. */
async function unlessRejected(sent: Promise<unknown>): Promise<void> {
  try {
    await sent
  } catch (error) {
    if (!(error instanceof Rejected)) throw error
  }
}
