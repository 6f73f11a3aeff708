/**
 * A worker as its node holds it: on a thread of its own, or inline. Either is started, closed, or ended without asking.
 */
import type { Failure } from '../actor/message.ts'
import { fromFailure } from '../actor/error.ts'
import { createLinkPair, type Link } from '../cluster/link.ts'
import type { Clock } from '../log/clock.ts'
import type { Random } from '../log/random.ts'
import type { Storage } from '../log/storage.ts'
import { startThread } from '../platform/thread.ts'
import type { ClusterConfig, Overrides } from './config.ts'
import { createProgressMemory, readProgress, type ProgressReading } from './progress.ts'
import { hostWorker, type WorkerHost, type WorkerStatus } from './worker-host.ts'
import type { ThreadData } from './worker-thread.ts'

export type ToWorker = { readonly kind: 'status' } | { readonly kind: 'close' }
export type FromWorker =
  | { readonly kind: 'ready'; readonly position: number }
  /** It cannot start, for a reason that starting it again will not mend. */
  | { readonly kind: 'refused'; readonly failure: Failure }
  | { readonly kind: 'warning'; readonly message: string }
  | { readonly kind: 'broken'; readonly reason: string }
  | { readonly kind: 'status'; readonly status: WorkerStatus }
  | { readonly kind: 'closed' }

export interface WorkerHandle {
  readonly link: Link
  /** The greatest position in what it took over. */
  readonly position: number
  progress(): ProgressReading
  /** Undefined where the worker ends before it can say. */
  status(): Promise<WorkerStatus | undefined>
  /** Answers what is under way and ends. */
  close(): Promise<void>
  /** Ends at once, whatever it is doing; resolves when nothing of it runs any more. */
  terminate(): Promise<void>
}

export interface WorkerEvents {
  readonly onWarning: (message: string) => void
  /** The worker is of no use any more, and was not asked to end. `ended` is left out where that is not known. */
  readonly onEnd: (reason: string, ended?: Ended) => void
}

/** What of a worker has come to its end first. */
export type Ended = 'thread' | 'log'

export interface ThreadedOptions {
  readonly configUrl: URL
  readonly overrides: Overrides
  readonly clusterId: string
  readonly shards: readonly number[]
}

/** Starts a worker on a thread; resolves when it serves. */
export function startThreaded(options: ThreadedOptions, events: WorkerEvents): Promise<WorkerHandle> {
  const memory = createProgressMemory()
  const { configUrl, overrides, clusterId, shards } = options
  const data: ThreadData = { configUrl: configUrl.href, overrides, clusterId, shards, progress: memory }
  return new Promise((resolve, reject) => {
    let phase: 'starting' | 'serving' | 'ending' = 'starting'
    const statusWaiters: ((status: WorkerStatus | undefined) => void)[] = []
    let onClosed = (): void => undefined
    const end = (reason: string, ended: Ended): void => {
      if (phase === 'starting') reject(new Error(reason))
      else if (phase === 'serving') events.onEnd(reason, ended)
      phase = 'ending'
      onClosed()
      for (const resolveStatus of statusWaiters.splice(0)) resolveStatus(undefined)
    }
    const thread = startThread('worker-thread', data, {
      onMessage(message) {
        const said = message as FromWorker
        if (said.kind === 'ready') {
          phase = 'serving'
          resolve({ ...handle, position: said.position })
        } else if (said.kind === 'refused') reject(((phase = 'ending'), fromFailure(said.failure)))
        else if (said.kind === 'warning') events.onWarning(said.message)
        else if (said.kind === 'broken') end(said.reason, 'log')
        else if (said.kind === 'status') statusWaiters.shift()?.(said.status)
        else onClosed()
      },
      onEnd: (error) => end(String(error), 'thread'),
    })
    const handle: Omit<WorkerHandle, 'position'> = {
      link: thread.link,
      progress: () => readProgress(memory),
      status: () =>
        new Promise((resolveStatus) => {
          statusWaiters.push(resolveStatus)
          thread.post({ kind: 'status' } satisfies ToWorker)
        }),
      close: () =>
        new Promise((resolveClose) => {
          phase = 'ending'
          onClosed = resolveClose
          thread.post({ kind: 'close' } satisfies ToWorker)
        }),
      terminate() {
        phase = 'ending'
        return thread.terminate()
      },
    }
  })
}

export interface InlineOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly random: Random
  readonly config: ClusterConfig
  readonly clusterId: string
  readonly shards: readonly number[]
}

/** Starts a worker on this thread. There is no watchdog for it: whoever is stuck here is the watchdog too. */
export async function startInline(options: InlineOptions, events: WorkerEvents): Promise<WorkerHandle> {
  const [near, far] = createLinkPair(options.clock)
  const host: WorkerHost = await hostWorker({
    ...options,
    link: far,
    progress: { enter: () => undefined, leave: () => undefined },
    onWarning: events.onWarning,
    onBroken: (error) => events.onEnd(String(error), 'log'),
  })
  return {
    link: near,
    position: host.position,
    progress: () => ({ count: 0, isBusy: false, request: 0 }),
    status: async () => host.status(),
    close: () => host.close(),
    terminate: async () => far.close(),
  }
}
