/**
 * The supervisor: keeps a node's workers running. A worker whose thread has ended or hangs, whose log is broken, or whose
 * handler does not return, is replaced by one that claims the same shards anew; what was under way to it waits in the router.
 *
 * A command that held its thread is not sent again, and its aggregate is left alone for a while, so that one bad
 * handler cannot keep a worker from everyone else (I8).
 */
import { reasonOf } from '../aggregate/error.ts'
import { handlerStuck, type Offence } from '../cluster/error.ts'
import { Quarantine, type Quarantined } from '../actor/quarantine.ts'
import type { Router } from '../cluster/router.ts'
import { pause, within, type Cancel, type Clock } from '../log/clock.ts'
import type { Occupation } from './progress.ts'
import type { Ended, WorkerEvents, WorkerHandle } from './worker-handle.ts'

export interface SupervisorOptions {
  readonly clock: Clock
  readonly router: Router
  readonly handlerMs: number
  readonly onWarning: (message: string) => void
  /** What a worker is called among the routes. */
  readonly ownerOf: (worker: number) => string
  /** A worker serves; or, undefined, it has ended. */
  readonly onWorker?: (worker: number, handle: WorkerHandle | undefined) => void
  /** Shards of a worker were claimed by somebody else. */
  readonly onLost?: (worker: number, shards: readonly number[]) => void
  /** Starts the worker of a number, which leaves some aggregates alone at first. */
  readonly start: (worker: number, events: WorkerEvents, quarantined: readonly Quarantined[]) => Promise<WorkerHandle>
}

interface Charge {
  readonly worker: number
  handle: WorkerHandle | undefined
  /** Starts in a row that did not last. */
  failures: number
  restarting: Promise<void> | undefined
  servingSince: number
  /** What the watchdog saw last, and for how many looks in a row a handler was held, and the thread hung. */
  seen: { readonly count: number; readonly stirs: number; readonly held: number; readonly hung: number }
}

const RESTART_MS_MAX = 5_000
/** A worker that has served for so long is healthy again. */
const HEALTHY_MS = 30_000
/** A worker that is to end at once is waited for so long. */
const END_MS = 5_000
/** Each takes a quarter of the time that a handler has. */
const CHECKS_PER_TIMEOUT = 4
/** A thread that does nothing at all, and is not held by a handler, is held by a call that does not return, as is one that says so. */
const HUNG_MS_MIN = 5_000
const HUNG_TIMEOUTS = 2
const NOTHING_SEEN: Charge['seen'] = { count: -1, stirs: -1, held: 0, hung: 0 }

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #charges: Charge[] = []
  readonly #quarantine: Quarantine
  #restarts = 0
  readonly #closing = new AbortController()
  #stopWatching: Cancel = () => undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#quarantine = new Quarantine(options.clock)
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
        seen: NOTHING_SEEN,
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
        if (charge.restarting !== undefined) await within(this.#options.clock, END_MS, charge.restarting)
        if (charge.handle !== undefined) await this.#closeHandle(charge, charge.handle, stopMs)
      }),
    )
  }

  async #closeHandle(charge: Charge, handle: WorkerHandle, stopMs: number): Promise<void> {
    const { clock, onWarning, onWorker } = this.#options
    let cancel: Cancel = () => undefined
    const isLate = new Promise<boolean>((resolve) => {
      cancel = clock.after(stopMs, () => resolve(true))
    })
    const wasLate = await Promise.race([handle.close().then(() => false), isLate])
    cancel()
    if (wasLate) {
      onWarning(`a worker did not stop within ${stopMs} ms and is ended`)
      onWorker?.(charge.worker, undefined)
    }
    // Nothing ends a thread in the middle of a call to the disk.
    await within(clock, END_MS, handle.terminate())
  }

  /** @throws what it cannot start for; Error where it has ended before it was to be used */
  async #startCharge(charge: Charge): Promise<void> {
    const { router, clock, onWarning } = this.#options
    let handle: WorkerHandle | undefined
    let endedEarly: string | undefined
    const events: WorkerEvents = {
      onWarning,
      onEnd: (reason, what) => {
        if (handle === undefined) endedEarly = reason
        else this.#ended(charge, handle, { reason, what })
      },
      onLost: (shards) => this.#options.onLost?.(charge.worker, shards),
      unwanted: this.#closing.signal,
    }
    handle = await this.#options.start(charge.worker, events, this.#quarantine.list())
    if (this.#closing.signal.aborted) return handle.terminate()
    if (endedEarly !== undefined) {
      await handle.terminate()
      throw new Error(endedEarly)
    }
    charge.handle = handle
    charge.servingSince = clock.monotonic()
    charge.seen = NOTHING_SEEN
    router.observe(handle.position)
    router.attach(this.#options.ownerOf(charge.worker), handle.link)
    this.#options.onWorker?.(charge.worker, handle)
  }

  /** A worker that ended while users' code ran was ended by it: that command is not sent again. */
  #ended(charge: Charge, handle: WorkerHandle, { reason, what }: { reason: string; what: Ended | undefined }): void {
    const occupation = what === 'thread' ? handle.progress()?.occupation : undefined
    if (occupation !== undefined) {
      this.#blame(charge, handle, { occupation, offence: { kind: 'ended' }, reason })
      return
    }
    if (what === 'thread' && charge.handle === handle)
      this.#options.router.threadEnded(this.#options.ownerOf(charge.worker))
    void this.#replace(charge, handle, { reason, isBlamed: false })
  }

  /**
   * Takes what an aggregate's handler did out on that aggregate alone (I8). Callers on other nodes send again what was
   * under way, and are told by the worker's successor that the aggregate is left alone.
   */
  #blame(
    charge: Charge,
    handle: WorkerHandle,
    {
      occupation,
      offence,
      reason,
    }: { readonly occupation: Occupation; readonly offence: Offence; readonly reason?: string },
  ): void {
    const { router } = this.#options
    const { stream, name, request } = occupation
    const error = handlerStuck(stream, name, offence, 'none')
    this.#quarantine.add(stream)
    if (request !== undefined) router.fail(request, error)
    router.failStream(stream, handlerStuck(stream, name, offence, 'unknown'))
    void this.#replace(charge, handle, {
      reason: reason === undefined ? error.message : `${reason}. ${error.message}`,
      isBlamed: true,
    })
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
    charge.restarting = handle.terminate().then(() => this.#restart(charge))
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

  /**
   * The watchdog: a count that stands still while users' code runs is a handler that does not return. It counts its own
   * looks and not the time, as a process that was stopped looks as seldom as its workers stir.
   */
  #watch(): void {
    const { clock, handlerMs } = this.#options
    this.#stopWatching = clock.after(handlerMs / CHECKS_PER_TIMEOUT, () => {
      for (const charge of this.#charges) this.#check(charge)
      if (!this.#closing.signal.aborted) this.#watch()
    })
  }

  #check(charge: Charge): void {
    const { handlerMs } = this.#options
    const { handle, seen } = charge
    const progress = handle?.progress()
    if (handle === undefined || progress === undefined) return
    const { count, stirs, isOverdue, occupation } = progress
    const isSame = count === seen.count
    const held = isSame && occupation !== undefined ? seen.held + 1 : 0
    const isStill = isSame && occupation === undefined && stirs === seen.stirs
    const hung = isOverdue || isStill ? seen.hung + 1 : 0
    charge.seen = { count, stirs, held, hung }
    const [heldMs, hungMs] = [held, hung].map((looks) => (looks * handlerMs) / CHECKS_PER_TIMEOUT) as [number, number]
    if (occupation !== undefined && heldMs >= handlerMs) {
      this.#blame(charge, handle, { occupation, offence: { kind: 'held', ms: handlerMs } })
    } else if (hungMs >= Math.max(HUNG_MS_MIN, HUNG_TIMEOUTS * handlerMs)) {
      const reason = `its thread hangs since ${hungMs} ms: a call to the disk, say, does not return`
      void this.#replace(charge, handle, { reason, isBlamed: false })
    }
  }
}
