/**
 * Where projections of simulated nodes keep their read models: a server that outlives them. What it keeps is what the
 * store in memory keeps; what may befall a call on its way there and back is simulated here.
 *
 * - A process that is killed is heard of no more: a transaction that it had open is rolled back after a while, and one
 *   whose commit was under way is committed.
 * - A caller that is told of no answer gives its connection up. What was under way on it may still take effect, later.
 */
import { memoryStore, type MemoryModel } from '../read/memory-read-model.ts'
import { readModelUnavailable } from '../read/read-model-error.ts'
import type { Change, ReadModel, ReadModelStore } from '../read/read-model.ts'
import type { Kernel } from './kernel.ts'
import type { SeededRandom } from './random.ts'
import type { SimulatedThread } from './simulated-thread.ts'

// oxlint-disable-next-line typescript/no-explicit-any -- whatever the user's Maps hold
type Maps = { readonly [name: string]: Map<any, any> }

/**
 * What becomes of a call. `refused`: nothing happens, and the caller is told so. `unheard`: it has its effect, and the
 * caller is told that the connection broke. `late`: the same, but that its effect comes only after the caller was told.
 * `slow`: it takes its time.
 */
export type CallFault = 'refused' | 'unheard' | 'late' | 'slow'

/** A change that has taken effect just now. */
export interface Landed<Model> {
  readonly projection: string
  readonly generation: number
  readonly change: Change<Model>
  /** The process that sent it, and when. */
  readonly thread: SimulatedThread
  readonly sentAt: number
  /** Whether the process still waits for the answer. */
  readonly isAwaited: boolean
  /** What queries see from now on. */
  readonly model: Model
}

/** A generation that went live just now. */
export interface Promoted {
  readonly projection: string
  readonly generation: number
  readonly thread: SimulatedThread
}

export interface SimulatedReadModelsOptions<Model extends Maps> {
  readonly kernel: Kernel
  readonly random: SeededRandom
  /** Makes the model of a generation, as for `memoryStore`. */
  readonly create: () => Model
  readonly onLanded?: (landed: Landed<MemoryModel<Model>>) => void
  readonly onPromoted?: (promoted: Promoted) => void
  readonly onPaused?: (paused: { readonly projection: string; readonly isPaused: boolean }) => void
}

const LATENCY_MS = 1
const SLOW_MS = 80
const LATE_MS = 1_500
/** A caller is told so late, at most, that there is no answer. */
const CALL_MS = 600
/** A transaction is rolled back whose process says nothing for so long. */
const TRANSACTION_MS = 800

interface Call {
  readonly thread: SimulatedThread
  readonly sentAt: number
  readonly fault: CallFault | undefined
  /** The caller waits no longer. */
  isOver: boolean
  /** Tells the caller that the connection is gone. */
  readonly break: (reason: string) => void
}

export class SimulatedReadModels<Model extends Maps> {
  readonly #options: SimulatedReadModelsOptions<Model>
  readonly #store: ReadModelStore<MemoryModel<Model>>
  /** What becomes of the calls that come next. */
  #faults: CallFault[] = []
  #awayUntilMs = 0
  readonly #cutOffUntilMs = new Map<string, number>()

  constructor(options: SimulatedReadModelsOptions<Model>) {
    this.#options = options
    this.#store = memoryStore(options.create)
  }

  /** The store as a process reaches it that runs at a place, on this thread. */
  connect(place: string, thread: SimulatedThread): ReadModelStore<MemoryModel<Model>> {
    const call: Send = (what, effect) => this.#send(what, { place, thread }, effect)
    return {
      open: async (projection) => {
        const readModel = await call('open', () => this.#store.open(projection))
        return this.#readModel(projection, readModel, call)
      },
    }
  }

  /** Nobody reaches it for a while. */
  beAway(forMs: number): void {
    this.#awayUntilMs = this.#options.kernel.now + forMs
  }

  /** Nobody at this place reaches it for a while; nothing says so, calls are just not answered. */
  cutOff(place: string, forMs: number): void {
    this.#cutOffUntilMs.set(place, this.#options.kernel.now + forMs)
  }

  /** The next calls, whoever makes them, go wrong so. */
  fail(faults: readonly CallFault[]): void {
    this.#faults.push(...faults)
  }

  /** From here on every call goes well. */
  heal(): void {
    this.#faults = []
    this.#awayUntilMs = 0
    this.#cutOffUntilMs.clear()
  }

  /** What it keeps, past all that may befall a call. */
  async look(projection: string): Promise<ReadModel<MemoryModel<Model>>> {
    return await this.#store.open(projection)
  }

  #readModel(projection: string, kept: ReadModel<MemoryModel<Model>>, call: Send): ReadModel<MemoryModel<Model>> {
    return {
      control: () => call('control', () => kept.control()),
      replaceControl: (from, to) =>
        call('replace control', async ({ thread }) => {
          const isReplaced = await kept.replaceControl(from, to)
          const { live, isPaused } = to
          if (isReplaced && live !== from.live) this.#options.onPromoted?.({ projection, generation: live, thread })
          if (isReplaced && isPaused !== from.isPaused) this.#options.onPaused?.({ projection, isPaused })
          return isReplaced
        }),
      places: (generation) => call('places', () => kept.places(generation)),
      commit: (generation, change) =>
        call('commit', (of) => this.#commit(of, { projection, kept, generation, change })),
      query: (generation, ask) => call('query', () => kept.query(generation, ask)),
      parkedStreams: (generation) => call('parked streams', () => kept.parkedStreams(generation)),
      parked: (generation, options) => call('parked', () => kept.parked(generation, options)),
      close: () => kept.close(),
    }
  }

  async #commit(call: Call, of: Commit<MemoryModel<Model>>): Promise<void> {
    const { projection, kept, generation, change } = of
    const { kernel, onLanded } = this.#options
    await kept.commit(generation, { ...change, apply: (model) => this.#transact(call, () => change.apply(model)) })
    const { lane, to } = change
    kernel.note(`${projection} ${generation} ${lane} ${to.position}.${to.shard}`)
    const { thread, sentAt, isOver } = call
    const landed = { projection, generation, change, thread, sentAt, isAwaited: !isOver && !thread.isDead }
    // Nothing else has its turn before this; who sent it may have closed meanwhile.
    if (onLanded === undefined) return
    const there = await this.look(projection)
    await there.query(generation, (model) => onLanded({ ...landed, model }))
  }

  /** Handlers run at the caller, with the generation locked; and then the commit is on its way. */
  async #transact(call: Call, apply: () => void | Promise<void>): Promise<void> {
    const { kernel } = this.#options
    await new Promise<void>((resolve, reject) => {
      const rollBack = (): void => reject(this.#unavailable('the transaction was rolled back'))
      const cancel = kernel.after(TRANSACTION_MS, rollBack)
      const run = async (): Promise<void> => await apply()
      call.thread.run(() => {
        if (call.isOver) rollBack()
        else run().then(resolve, reject).finally(cancel)
      })
    })
    await kernel.sleep(this.#latency())
    if (call.fault !== 'late') return
    call.break('the connection broke')
    await kernel.sleep(this.#options.random.below(LATE_MS))
  }

  /** Makes a call: there, its effect, and back. */
  #send<Result>(
    what: string,
    { place, thread }: { readonly place: string; readonly thread: SimulatedThread },
    effect: (call: Call) => Promise<Result>,
  ): Promise<Result> {
    const { kernel, random } = this.#options
    const fault = this.#faults.shift()
    return new Promise((resolve, reject) => {
      const tell = (told: () => void): void => {
        if (call.isOver) return
        call.isOver = true
        stopWaiting()
        thread.run(told)
      }
      const breakOff = (reason: string): void => tell(() => reject(this.#unavailable(reason)))
      const call: Call = { thread, sentAt: kernel.now, fault, isOver: false, break: breakOff }
      const stopWaiting = kernel.after(CALL_MS, () => breakOff('there is no answer'))
      const answer = (told: () => void): void => {
        const slowMs = fault === 'slow' ? random.below(SLOW_MS) : 0
        kernel.after(this.#latency() + slowMs, () => {
          if (fault === 'unheard') breakOff('the connection broke')
          else if (!this.#isCutOff(place)) tell(told)
        })
      }
      kernel.after(this.#latency(), () => {
        kernel.note(`read models ${place} ${what}`)
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

  #latency(): number {
    return (this.#options.random.below(1_000) / 1_000) * LATENCY_MS
  }

  #unavailable(reason: string): Error {
    return readModelUnavailable('the simulated server', new Error(reason))
  }
}

type Send = <Result>(what: string, effect: (call: Call) => Promise<Result>) => Promise<Result>

interface Commit<Model> {
  readonly projection: string
  readonly kept: ReadModel<Model>
  readonly generation: number
  readonly change: Change<Model>
}
