/**
 * The supervisor: keeps a node's workers running. A worker whose thread has ended, whose log is broken, or whose handler
 * does not return, is replaced by one that claims the same shards anew; what was under way to it waits in the router.
 *
 * A command that held its thread is not sent again, and its aggregate is left alone for a while, so that one bad
 * handler cannot keep a worker from everyone else (I8).
 */
import { PenholdError } from '../aggregate/error.ts'
import { handlerStuck } from '../cluster/error.ts'
import type { Router } from '../cluster/router.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import type { Quarantine } from './quarantine.ts'
import type { WorkerEvents, WorkerHandle } from './worker-handle.ts'

export interface SupervisorOptions {
  readonly clock: Clock
  readonly router: Router
  readonly quarantine: Quarantine
  readonly handlerMs: number
  readonly onWarning: (message: string) => void
  /** Starts the worker of a number. */
  readonly start: (worker: number, events: WorkerEvents) => Promise<WorkerHandle>
}

interface Charge {
  readonly worker: number
  handle: WorkerHandle | undefined
  /** Starts in a row that did not last. */
  failures: number
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
  #isClosing = false
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
      this.#charges.push({ worker, handle: undefined, failures: 0, servingSince: 0, seen: { count: 0, since: 0 } })
    }
    const started = await Promise.allSettled(this.#charges.map((charge) => this.#startCharge(charge)))
    const failed = started.find((result) => result.status === 'rejected')
    if (failed !== undefined) {
      await this.close(0)
      throw failed.reason
    }
    this.#watch()
  }

  status(): Promise<(Awaited<ReturnType<WorkerHandle['status']>> | undefined)[]> {
    return Promise.all(this.#charges.map(async ({ handle }) => handle?.status()))
  }

  /** Closes the workers, and ends those that take longer than `stopMs`. */
  async close(stopMs: number): Promise<void> {
    this.#isClosing = true
    this.#stopWatching()
    await Promise.all(this.#charges.map(async ({ handle }) => handle && this.#closeHandle(handle, stopMs)))
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
      onEnd: (reason) => void this.#replace(charge, handle, { reason }),
    })
    if (this.#isClosing) return handle.terminate()
    charge.handle = handle
    charge.servingSince = clock.monotonic()
    charge.seen = { count: -1, since: charge.servingSince }
    router.attach(charge.worker, handle.link)
  }

  async #replace(charge: Charge, handle: WorkerHandle, why: { readonly reason: string }): Promise<void> {
    if (charge.handle !== handle || this.#isClosing) return
    const { router, clock, onWarning } = this.#options
    charge.handle = undefined
    router.detach(charge.worker)
    this.#restarts += 1
    charge.failures = clock.monotonic() - charge.servingSince > HEALTHY_MS ? 0 : charge.failures + 1
    onWarning(`worker ${charge.worker} is replaced: ${why.reason}`)
    // Nothing of the old one may run when its shards are claimed again: that is cheaper than fencing it.
    await handle.terminate()
    await this.#restart(charge)
  }

  async #restart(charge: Charge): Promise<void> {
    for (;;) {
      if (charge.failures > 1) await this.#pause(Math.min(RESTART_MS_MAX, 100 * 2 ** (charge.failures - 2)))
      if (this.#isClosing) return
      try {
        await this.#startCharge(charge)
        return
      } catch (error) {
        charge.failures += 1
        const message = error instanceof PenholdError ? error.message : String(error)
        this.#options.onWarning(`worker ${charge.worker} could not be started and is tried again: ${message}`)
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#options.clock.after(ms, resolve))
  }

  /** The watchdog: a count that stands still while users' code runs is a handler that does not return. */
  #watch(): void {
    const { clock, handlerMs } = this.#options
    this.#stopWatching = clock.after(handlerMs / CHECKS_PER_TIMEOUT, () => {
      for (const charge of this.#charges) this.#check(charge)
      if (!this.#isClosing) this.#watch()
    })
  }

  #check(charge: Charge): void {
    const { clock, router, quarantine, handlerMs } = this.#options
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
    const stream = message?.stream ?? 'an aggregate'
    const name = message === undefined || message.kind === 'state' ? 'a handler' : message.name
    if (message !== undefined) quarantine.add(stream)
    router.fail(request, handlerStuck(stream, name, handlerMs))
    void this.#replace(charge, handle, { reason: `'${name}' on ${stream} has held its thread for ${handlerMs} ms` })
  }
}
