/**
 * Calls of simulated processes to a server that outlives them, and what may befall each on its way there and back. What the
 * server does with a call is its own affair (simulated-read-models.ts, simulated-broker.ts).
 *
 * - A process that is killed is heard of no more; what it had sent takes effect.
 * - A caller that is told of no answer gives its connection up. What was under way on it may still take effect, later.
 */
import type { Kernel } from './kernel.ts'
import type { SeededRandom } from './random.ts'
import type { SimulatedThread } from './simulated-thread.ts'

/**
 * What becomes of a call. `refused`: nothing happens, and the caller is told so. `unheard`: it has its effect, and the
 * caller is told that the connection broke. `late`: the same, but that its effect comes only after the caller was told.
 * `slow`: it takes its time. `partly`: of the several things that it is about the server does some, and no more.
 */
export type CallFault = 'refused' | 'unheard' | 'late' | 'slow' | 'partly'

export type ServerFault = { readonly atMs: number } &
  /** The next calls, whoever makes them. */
  (
    | { readonly kind: 'calls'; readonly faults: readonly CallFault[] }
    | { readonly kind: 'away'; readonly forMs: number }
    | { readonly kind: 'cut-off'; readonly place: number; readonly forMs: number }
  )

export interface SimulatedServerOptions {
  readonly kernel: Kernel
  readonly random: SeededRandom
  /** In the trace. */
  readonly name: string
}

/** A process that calls. */
interface Caller {
  readonly place: string
  readonly thread: SimulatedThread
  /** What it is told where there is no answer. */
  readonly unavailable: (reason: string) => Error
}

export interface Call {
  readonly thread: SimulatedThread
  readonly sentAt: number
  readonly fault: CallFault | undefined
  /** The caller waits no longer. */
  isOver: boolean
  /** Tells the caller that the connection is gone. */
  readonly break: (reason: string) => void
}

/** Makes a call: there, its effect, and back. */
export type Send = <Result>(what: string, effect: (call: Call) => Promise<Result>) => Promise<Result>

const LATENCY_MS = 1
const SLOW_MS = 80
const LATE_MS = 1_500
/** A caller is told so late, at most, that there is no answer. */
const CALL_MS = 600

export class SimulatedServer {
  readonly #options: SimulatedServerOptions
  /** What becomes of the calls that come next. */
  #faults: CallFault[] = []
  #awayUntilMs = 0
  readonly #cutOffUntilMs = new Map<string, number>()

  constructor(options: SimulatedServerOptions) {
    this.#options = options
  }

  /** The server as a process reaches it that runs at a place, on this thread. */
  connect(place: string, thread: SimulatedThread, unavailable: Caller['unavailable']): Send {
    return (what, effect) => this.#send(what, { place, thread, unavailable }, effect)
  }

  /** Nobody at this place reaches it for a while; nothing says so, calls are just not answered. */
  cutOff(place: string, forMs: number): void {
    this.#cutOffUntilMs.set(place, this.#options.kernel.now + forMs)
  }

  /** The next calls, whoever makes them, go wrong so. */
  fail(faults: readonly CallFault[]): void {
    this.#faults.push(...faults)
  }

  /** Has all this befall it, each at its time. */
  schedule(faults: readonly ServerFault[]): void {
    const { kernel } = this.#options
    for (const fault of faults) {
      kernel.after(fault.atMs - kernel.now, () => {
        if (fault.kind === 'calls') this.fail(fault.faults)
        else if (fault.kind === 'away') this.#awayUntilMs = kernel.now + fault.forMs
        else this.cutOff(`place-${fault.place}`, fault.forMs)
      })
    }
  }

  /** From here on every call goes well. */
  heal(): void {
    this.#faults = []
    this.#awayUntilMs = 0
    this.#cutOffUntilMs.clear()
  }

  /** Resolves when a call's effect comes: at once, but for those that come late, whose callers are told before. */
  async arrival(call: Call): Promise<void> {
    if (call.fault !== 'late') return
    call.break('the connection broke')
    await this.#options.kernel.sleep(this.#options.random.below(LATE_MS))
  }

  /** How long something takes to get there, or back. */
  latency(): number {
    return (this.#options.random.below(1_000) / 1_000) * LATENCY_MS
  }

  #send<Result>(
    what: string,
    { place, thread, unavailable }: Caller,
    effect: (call: Call) => Promise<Result>,
  ): Promise<Result> {
    const { kernel, random, name } = this.#options
    const fault = this.#faults.shift()
    return new Promise((resolve, reject) => {
      const tell = (told: () => void): void => {
        if (call.isOver) return
        call.isOver = true
        stopWaiting()
        thread.run(told)
      }
      const breakOff = (reason: string): void => tell(() => reject(unavailable(reason)))
      const call: Call = { thread, sentAt: kernel.now, fault, isOver: false, break: breakOff }
      const stopWaiting = kernel.after(CALL_MS, () => breakOff('there is no answer'))
      const answer = (told: () => void): void => {
        const slowMs = fault === 'slow' ? random.below(SLOW_MS) : 0
        kernel.after(this.latency() + slowMs, () => {
          if (fault === 'unheard') breakOff('the connection broke')
          else if (!this.#isCutOff(place)) tell(told)
        })
      }
      kernel.after(this.latency(), () => {
        kernel.note(`${name} ${place} ${what}`)
        if (this.#isCutOff(place)) return
        if (fault === 'refused' || kernel.now < this.#awayUntilMs) return breakOff('the connection was refused')
        effect(call).then(
          (result) => answer(() => resolve(result)),
          (error: unknown) => answer(() => reject(error)),
        )
      })
    })
  }

  #isCutOff(place: string): boolean {
    return this.#options.kernel.now < (this.#cutOffUntilMs.get(place) ?? 0)
  }
}
