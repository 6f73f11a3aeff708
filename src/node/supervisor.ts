/**
 * The supervisor: keeps a node's workers running. A worker whose thread has ended, whose log is broken, or whose handler
 * does not return, is replaced by one that claims the same shards anew; what was under way to it waits in the router.
 *
 * A command that held its thread is not sent again, and its aggregate is left alone for a while, so that one bad
 * handler cannot keep a worker from everyone else (I8).
 */
import { reasonOf } from '../aggregate/error.ts'

import { handlerStuck, type Offence } from '../cluster/error.ts'
import type { Router } from '../cluster/router.ts'
import type { OutgoingMessage } from '../cluster/wire.ts'
import { pause, type Cancel, type Clock } from '../log/clock.ts'
import type { Quarantine } from './quarantine.ts'
import type { Ended, WorkerEvents, WorkerHandle } from './worker-handle.ts'

export interface SupervisorOptions {
  readonly clock: Clock
  readonly router: Router
  readonly quarantine: Quarantine
  readonly handlerMs: number
  readonly onWarning: (message: string) => void
  /** What a worker is called among the routes. */
  readonly ownerOf: (worker: number) => string
  /** A worker serves; or, undefined, it has ended. */
  readonly onWorker?: (worker: number, handle: WorkerHandle | undefined) => void
  /** Shards of a worker were claimed by somebody else. */
  readonly onLost?: (worker: number, shards: readonly number[]) => void
  /** Starts the worker of a number. */
  readonly start: (worker: number, events: WorkerEvents) => Promise<WorkerHandle>
}

interface Charge {
  readonly worker: number
  handle: WorkerHandle | undefined
  /** Starts in a row that did not last. */
  failures: number
  restarting: Promise<void> | undefined
  servingSince: number
  /** What the watchdog saw last, and since when it has not changed. */
  seen: { readonly count: number; readonly since: number }
}

const RESTART_MS_MAX = 5_000
/** A worker that has served for so long is healthy again. */
const HEALTHY_MS = 30_000
const CHECKS_PER_TIMEOUT = 4

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #charges: Charge[] = []
  #restarts = 0
  readonly #closing = new AbortController()
  #stopWatching: Cancel = () => undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  /** How many workers had to be replaced. */
  get restarts(): number {
    return this.#restarts
  }

  /** Starts all workers; rejects with the first that cannot start, and ends the others. */
  async start(workers: number): Promise<void> {
    for (let worker = 0; worker < workers; worker += 1) {
      this.#charges.push({
        worker,
        handle: undefined,
        failures: 0,
        restarting: undefined,
        servingSince: 0,
        seen: { count: 0, since: 0 },
      })
    }
    const started = await Promise.allSettled(this.#charges.map((charge) => this.#startCharge(charge)))
    const failed = started.find((result) => result.status === 'rejected')
    if (failed !== undefined) {
      await this.close(0)
      throw failed.reason
    }
    this.#watch()
  }

  /** By worker; undefined for one that is being replaced. */
  get handles(): readonly (WorkerHandle | undefined)[] {
    return this.#charges.map(({ handle }) => handle)
  }

  status(): Promise<(Awaited<ReturnType<WorkerHandle['status']>> | undefined)[]> {
    return Promise.all(this.#charges.map(async ({ handle }) => handle?.status()))
  }

  /** Closes the workers, and ends those that take longer than `stopMs`; what has not started is not waited for. */
  async close(stopMs: number): Promise<void> {
    this.#closing.abort()
    this.#stopWatching()
    await Promise.all(
      this.#charges.map(async (charge) => {
        await charge.restarting
        if (charge.handle !== undefined) await this.#closeHandle(charge.handle, stopMs)
      }),
    )
  }

  async #closeHandle(handle: WorkerHandle, stopMs: number): Promise<void> {
    let cancel: Cancel = () => undefined
    const isLate = new Promise<boolean>((resolve) => {
      cancel = this.#options.clock.after(stopMs, () => resolve(true))
    })
    const wasLate = await Promise.race([handle.close().then(() => false), isLate])
    cancel()
    if (wasLate) this.#options.onWarning(`a worker did not stop within ${stopMs} ms and was ended`)
    await handle.terminate()
  }

  async #startCharge(charge: Charge): Promise<void> {
    const { router, clock, onWarning } = this.#options
    const handle = await this.#options.start(charge.worker, {
      onWarning,
      onEnd: (reason, what) => this.#ended(charge, handle, { reason, what }),
      onLost: (shards) => this.#options.onLost?.(charge.worker, shards),
      unwanted: this.#closing.signal,
    })
    if (this.#closing.signal.aborted) return handle.terminate()
    charge.handle = handle
    charge.servingSince = clock.monotonic()
    charge.seen = { count: -1, since: charge.servingSince }
    router.observe(handle.position)
    router.attach(this.#options.ownerOf(charge.worker), handle.link)
    this.#options.onWorker?.(charge.worker, handle)
  }

  /** A worker that ended while users' code ran was ended by it: that command is not sent again. */
  #ended(charge: Charge, handle: WorkerHandle, { reason, what }: { reason: string; what: Ended | undefined }): void {
    const { isBusy, request } = handle.progress()
    const message = isBusy ? this.#options.router.message(request) : undefined
    if (message !== undefined) {
      this.#blame(charge, handle, message, { kind: 'ended' })
      return
    }
    if (what === 'thread' && charge.handle === handle)
      this.#options.router.threadEnded(this.#options.ownerOf(charge.worker))
    void this.#replace(charge, handle, { reason, isBlamed: false })
  }

  /** Takes what an aggregate's handler did out on that aggregate alone (I8). */
  #blame(charge: Charge, handle: WorkerHandle, message: OutgoingMessage, offence: Offence): void {
    const { router, quarantine } = this.#options
    const { stream, request } = message
    const name = message.kind === 'state' ? 'state' : message.name
    const error = handlerStuck(stream, name, offence, 'none')
    quarantine.add(stream)
    router.fail(request, error)
    router.failStream(stream, handlerStuck(stream, name, offence, 'unknown'))
    void this.#replace(charge, handle, { reason: error.message, isBlamed: true })
  }

  /** Replaces a worker that cannot be understood. */
  distrust(owner: string, error: unknown): void {
    const charge = this.#charges.find(({ worker }) => this.#options.ownerOf(worker) === owner)
    if (charge?.handle === undefined) return
    void this.#replace(charge, charge.handle, { reason: reasonOf(error), isBlamed: false })
  }

  async #replace(
    charge: Charge,
    handle: WorkerHandle,
    why: { readonly reason: string; readonly isBlamed: boolean },
  ): Promise<void> {
    if (charge.handle !== handle || this.#closing.signal.aborted) return
    const { router, clock, onWarning } = this.#options
    charge.handle = undefined
    router.detach(this.#options.ownerOf(charge.worker))
    this.#options.onWorker?.(charge.worker, undefined)
    this.#restarts += 1
    const isHealthy = why.isBlamed || clock.monotonic() - charge.servingSince > HEALTHY_MS
    charge.failures = isHealthy ? 0 : charge.failures + 1
    onWarning(`worker ${charge.worker} is replaced: ${why.reason}`)
    // Nothing of the old one may run when its shards are claimed again: that is cheaper than fencing it.
    await handle.terminate()
    charge.restarting = this.#restart(charge)
    await charge.restarting
  }

  async #restart(charge: Charge): Promise<void> {
    for (;;) {
      if (charge.failures > 1)
        await pause(this.#options.clock, Math.min(RESTART_MS_MAX, 100 * 2 ** (charge.failures - 2)))
      if (this.#closing.signal.aborted) return
      try {
        await this.#startCharge(charge)
        return
      } catch (error) {
        if (this.#closing.signal.aborted) return
        charge.failures += 1
        this.#options.onWarning(`worker ${charge.worker} could not be started and is tried again: ${reasonOf(error)}`)
      }
    }
  }

  /** The watchdog: a count that stands still while users' code runs is a handler that does not return. */
  #watch(): void {
    const { clock, handlerMs } = this.#options
    this.#stopWatching = clock.after(handlerMs / CHECKS_PER_TIMEOUT, () => {
      for (const charge of this.#charges) this.#check(charge)
      if (!this.#closing.signal.aborted) this.#watch()
    })
  }

  #check(charge: Charge): void {
    const { clock, router, handlerMs } = this.#options
    const { handle, seen } = charge
    if (handle === undefined) return
    const now = clock.monotonic()
    const { count, isBusy, request } = handle.progress()
    if (!isBusy || count !== seen.count) {
      charge.seen = { count, since: now }
      return
    }
    if (now - seen.since < handlerMs) return
    const message = router.message(request)
    if (message !== undefined) {
      this.#blame(charge, handle, message, { kind: 'held', ms: handlerMs })
      return
    }
    // Its caller has given up waiting; the thread is held all the same.
    void this.#replace(charge, handle, { reason: `a handler has held its thread for ${handlerMs} ms`, isBlamed: false })
  }
}
