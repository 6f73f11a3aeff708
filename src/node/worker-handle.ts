/**
 * A worker as its node holds it: on a thread of its own, or inline. Either is started, closed, or ended without asking.
 */
import type { Failure } from '../actor/message.ts'
import { fromFailure } from '../actor/error.ts'
import { createLinkPair, type Link } from '../cluster/link.ts'
import type { Clock } from '../log/clock.ts'
import type { ShardHead } from '../log/log.ts'
import type { Random } from '../log/random.ts'
import type { Storage } from '../log/storage.ts'
import type { KnownTail, Tail } from '../log/tail.ts'
import { startThread, type Thread } from '../platform/thread.ts'
import type { ClusterConfig, Overrides } from './config.ts'
import { createProgressMemory, readProgress, UNWATCHED, type ProgressReading } from './progress.ts'
import { hostWorker, type Start, type WorkerHost, type WorkerStatus } from './worker-host.ts'
import type { ThreadData } from './worker-thread.ts'

/** What a worker on a thread is asked from outside its mailboxes. */
export interface WorkerCalls {
  status(): Promise<WorkerStatus>
  takeOver(shards: readonly number[]): Promise<readonly ShardHead[]>
  prepareRelease(): Promise<void>
  release(shards: readonly number[], ms: number): Promise<void>
  nextTail(known: KnownTail | undefined, ms: number): Promise<Tail>
  tailAbove(position: number): Promise<Tail>
}

export type ToWorker =
  | {
      readonly kind: 'call'
      readonly call: number
      readonly name: keyof WorkerCalls
      readonly args: readonly unknown[]
    }
  | { readonly kind: 'connect'; readonly link: number; readonly port: unknown; readonly protocol: number }
  /** Nothing more of this link is to be read. What is said later, about others, is heard later. */
  | { readonly kind: 'disconnect'; readonly link: number }
  | { readonly kind: 'close' }
export type FromWorker =
  | { readonly kind: 'ready'; readonly position: number }
  | { readonly kind: 'returned'; readonly call: number; readonly value: unknown }
  | { readonly kind: 'threw'; readonly call: number; readonly failure: Failure }
  /** It cannot start, for a reason that starting it again will not mend. */
  | { readonly kind: 'refused'; readonly failure: Failure }
  | { readonly kind: 'warning'; readonly message: string }
  | { readonly kind: 'lost'; readonly shards: readonly number[] }
  | { readonly kind: 'broken'; readonly reason: string }
  | { readonly kind: 'closed' }

export interface WorkerHandle {
  readonly link: Link
  /** The greatest position in what it took over. */
  readonly position: number
  /** Undefined where it has no thread of its own. */
  progress(): ProgressReading | undefined
  /** Undefined where the worker ends before it can say. */
  status(): Promise<WorkerStatus | undefined>
  /** As those of WorkerHost; undefined where the worker ends before it is done. */
  takeOver(shards: readonly number[]): Promise<readonly ShardHead[] | undefined>
  prepareRelease(): Promise<void>
  release(shards: readonly number[], ms: number): Promise<void>
  nextTail(known: KnownTail | undefined, ms: number): Promise<Tail | undefined>
  tailAbove(position: number): Promise<Tail | undefined>
  /** One more link to the worker, for a sender on another node, that speaks this version of the protocol. */
  connect(protocol: number): Link
  /** Answers what is under way and ends. */
  close(): Promise<void>
  /** Ends at once, whatever it is doing; resolves when nothing of it runs any more. */
  terminate(): Promise<void>
}

export interface WorkerEvents {
  readonly onWarning: (message: string) => void
  /** Somebody else has claimed shards that the worker served. */
  readonly onLost: (shards: readonly number[]) => void
  /** The worker is of no use any more, and was not asked to end. `ended` is left out where that is not known. */
  readonly onEnd: (reason: string, ended?: Ended) => void
  /** The worker is not wanted any more: one that has not started yet is given up, where it is a thread. */
  readonly unwanted?: AbortSignal
}

/** What of a worker has come to its end first. */
export type Ended = 'thread' | 'log'

export interface ThreadedOptions extends Start {
  readonly configUrl: URL
  readonly overrides: Overrides
  readonly clusterId: string
  /** It plays a hand-over through before it serves (rehearsal.ts). */
  readonly rehearses: boolean
}

/** Starts a worker on a thread; resolves when it serves. */
export async function startThreaded(options: ThreadedOptions, events: WorkerEvents): Promise<WorkerHandle> {
  const { unwanted } = events
  let giveUp = (): void => undefined
  try {
    const onThread = (thread: Thread): void => {
      giveUp = () => void thread.terminate()
      unwanted?.addEventListener('abort', giveUp)
      if (unwanted?.aborted === true) giveUp()
    }
    return await startOnThread(options, { ...events, onThread })
  } finally {
    unwanted?.removeEventListener('abort', giveUp)
  }
}

interface ThreadedEvents extends WorkerEvents {
  readonly onThread: (thread: Thread) => void
}

function startOnThread(options: ThreadedOptions, events: ThreadedEvents): Promise<WorkerHandle> {
  const memory = createProgressMemory()
  const data: ThreadData = { ...options, configUrl: options.configUrl.href, progress: memory }
  return new Promise((resolve, reject) => {
    let phase: 'starting' | 'serving' | 'ending' = 'starting'
    const calls = new Calls((message) => thread.post(message))
    let links = 0
    let onClosed = (): void => undefined
    const end = (reason: string, ended: Ended): void => {
      if (phase === 'starting') reject(new Error(reason))
      else if (phase === 'serving') events.onEnd(reason, ended)
      phase = 'ending'
      onClosed()
      calls.end()
    }
    const thread = startThread('worker-thread', data, {
      onMessage(message) {
        const said = message as FromWorker
        if (said.kind === 'ready') {
          phase = 'serving'
          resolve({ ...handle, position: said.position })
        } else if (said.kind === 'refused') reject(((phase = 'ending'), fromFailure(said.failure)))
        else if (said.kind === 'warning') events.onWarning(said.message)
        else if (said.kind === 'lost') events.onLost(said.shards)
        else if (said.kind === 'broken') end(said.reason, 'log')
        else if (said.kind === 'returned' || said.kind === 'threw') calls.answered(said)
        else onClosed()
      },
      onEnd: (error) => end(String(error), 'thread'),
    })
    events.onThread(thread)
    const handle: Omit<WorkerHandle, 'position'> = {
      link: thread.link,
      progress: () => readProgress(memory),
      ...callsThrough(calls),
      connect(protocol) {
        const number = (links += 1)
        const link = thread.connect((port) => ({ kind: 'connect', link: number, port, protocol }) satisfies ToWorker)
        const close = (): void => {
          link.close()
          thread.post({ kind: 'disconnect', link: number } satisfies ToWorker)
        }
        return closedBy(link, close)
      },
      close: () =>
        new Promise((resolveClose) => {
          phase = 'ending'
          onClosed = resolveClose
          thread.post({ kind: 'close' } satisfies ToWorker)
        }),
      terminate() {
        phase = 'ending'
        // A call to the disk that does not return keeps the thread, and must not keep those who wait for it.
        calls.end()
        return thread.terminate()
      },
    }
  })
}

/** The calls of a handle; each resolves to undefined where the worker ends before it is done. */
function callsThrough(calls: Calls): Pick<WorkerHandle, keyof WorkerCalls> {
  return {
    status: () => calls.make('status'),
    takeOver: (...args) => calls.make('takeOver', ...args),
    prepareRelease: () => calls.make('prepareRelease'),
    release: (...args) => calls.make('release', ...args),
    nextTail: (...args) => calls.make('nextTail', ...args),
    tailAbove: (...args) => calls.make('tailAbove', ...args),
  }
}

/** The same link, with another way to close it. */
function closedBy(link: Link, close: () => void): Link {
  return {
    send: (frame) => link.send(frame),
    onFrame: (receive) => link.onFrame(receive),
    get isFull() {
      return link.isFull
    },
    onDrain: (callback) => link.onDrain(callback),
    close,
  }
}

/** Calls to a thread under way, by number. */
class Calls {
  readonly #post: (message: ToWorker) => void
  readonly #underWay = new Map<number, { resolve: (value: never) => void; reject: (error: unknown) => void }>()
  #last = 0
  #isEnded = false

  constructor(post: (message: ToWorker) => void) {
    this.#post = post
  }

  /** Resolves to what the worker returns; to undefined where it ends before. */
  make<Name extends keyof WorkerCalls>(
    name: Name,
    ...args: Parameters<WorkerCalls[Name]>
  ): Promise<Awaited<ReturnType<WorkerCalls[Name]>> | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#isEnded) return resolve(undefined)
      this.#last += 1
      this.#underWay.set(this.#last, { resolve, reject })
      this.#post({ kind: 'call', call: this.#last, name, args })
    })
  }

  answered(said: FromWorker & { readonly kind: 'returned' | 'threw' }): void {
    const call = this.#underWay.get(said.call)
    this.#underWay.delete(said.call)
    if (said.kind === 'threw') call?.reject(fromFailure(said.failure))
    else call?.resolve(said.value as never)
  }

  end(): void {
    this.#isEnded = true
    for (const { resolve } of this.#underWay.values()) resolve(undefined as never)
    this.#underWay.clear()
  }
}

/** Calls to a worker on this thread under way: what has broken may never say that it is done. Of others nothing is kept. */
class InlineCalls {
  readonly #underWay = new Set<(value: undefined) => void>()
  #isEnded = false

  /** Resolves to what becomes of it; to undefined where the worker ends before. */
  make<Result>(call: Promise<Result>): Promise<Result | undefined> {
    const { promise: ended, resolve: giveUp } = Promise.withResolvers<undefined>()
    if (this.#isEnded) giveUp(undefined)
    else this.#underWay.add(giveUp)
    const forget = (): void => void this.#underWay.delete(giveUp)
    call.then(forget, forget)
    return Promise.race([call, ended])
  }

  end(): void {
    this.#isEnded = true
    for (const giveUp of this.#underWay) giveUp(undefined)
    this.#underWay.clear()
  }
}

export interface InlineOptions extends Start {
  readonly storage: Storage
  readonly clock: Clock
  readonly random: Random
  readonly config: ClusterConfig
  readonly clusterId: string
}

/** Starts a worker on this thread. There is no watchdog for it: whoever is stuck here is the watchdog too. */
export async function startInline(options: InlineOptions, events: WorkerEvents): Promise<WorkerHandle> {
  const [near, far] = createLinkPair(options.clock)
  const calls = new InlineCalls()
  const host: WorkerHost = await hostWorker({
    ...options,
    link: far,
    progress: UNWATCHED,
    onWarning: events.onWarning,
    onLost: events.onLost,
    onBroken: (error) => {
      calls.end()
      events.onEnd(String(error), 'log')
    },
  })
  return {
    link: near,
    position: host.position,
    progress: () => undefined,
    status: () => host.status(),
    takeOver: (shards) => calls.make(host.takeOver(shards)),
    prepareRelease: () => calls.make(host.prepareRelease()),
    release: (shards, ms) => calls.make(host.release(shards, ms)),
    nextTail: (known, ms) => calls.make(host.nextTail(known, ms)),
    tailAbove: (position) => calls.make(host.tailAbove(position)),
    connect(protocol) {
      const [nearer, farther] = createLinkPair(options.clock)
      host.connect(farther, protocol)
      return nearer
    },
    close: () => host.close(),
    terminate: async () => {
      calls.end()
      far.close()
      await host.abandon()
    },
  }
}
