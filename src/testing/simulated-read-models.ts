/**
 * Where projections of simulated nodes keep their read models: a server that outlives them. What it keeps is what the
 * store in memory keeps; what may befall a call on its way there and back is simulated-server.ts's. Of a process that is
 * killed a transaction that it had open is rolled back after a while, and one whose commit was under way is committed.
 */
import { memoryStore, type MemoryModel } from '../read/memory-read-model.ts'
import { readModelUnavailable } from '../read/read-model-error.ts'
import type { Change, ReadModel, ReadModelStore } from '../read/read-model.ts'
import type { Kernel } from './kernel.ts'
import type { SeededRandom } from './random.ts'
import { SimulatedServer, type Call, type CallFault, type Send, type ServerFault } from './simulated-server.ts'
import type { SimulatedThread } from './simulated-thread.ts'

// oxlint-disable-next-line typescript/no-explicit-any -- whatever the user's Maps hold
type Maps = { readonly [name: string]: Map<any, any> }

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

/** A transaction is rolled back whose process says nothing for so long. */
const TRANSACTION_MS = 800

export class SimulatedReadModels<Model extends Maps> {
  readonly #options: SimulatedReadModelsOptions<Model>
  readonly #store: ReadModelStore<MemoryModel<Model>>
  readonly #server: SimulatedServer

  constructor(options: SimulatedReadModelsOptions<Model>) {
    const { kernel, random, create } = options
    this.#options = options
    this.#store = memoryStore(create)
    this.#server = new SimulatedServer({ kernel, random, name: 'read models' })
  }

  /** The store as a process reaches it that runs at a place, on this thread. */
  connect(place: string, thread: SimulatedThread): ReadModelStore<MemoryModel<Model>> {
    const call = this.#server.connect(place, thread, unavailable)
    return {
      open: async (projection) => {
        const readModel = await call('open', () => this.#store.open(projection))
        return this.#readModel(projection, readModel, call)
      },
    }
  }

  /** The next calls, whoever makes them, go wrong so. */
  fail(faults: readonly CallFault[]): void {
    this.#server.fail(faults)
  }

  /** Nobody at this place reaches it for a while; nothing says so, calls are just not answered. */
  cutOff(place: string, forMs: number): void {
    this.#server.cutOff(place, forMs)
  }

  /** Has all this befall it, each at its time. */
  schedule(faults: readonly ServerFault[]): void {
    this.#server.schedule(faults)
  }

  /** From here on every call goes well. */
  heal(): void {
    this.#server.heal()
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
      const rollBack = (): void => reject(unavailable('the transaction was rolled back'))
      const cancel = kernel.after(TRANSACTION_MS, rollBack)
      const run = async (): Promise<void> => await apply()
      call.thread.run(() => {
        if (call.isOver) rollBack()
        else run().then(resolve, reject).finally(cancel)
      })
    })
    await kernel.sleep(this.#server.latency())
    await this.#server.arrival(call)
  }
}

interface Commit<Model> {
  readonly projection: string
  readonly kept: ReadModel<Model>
  readonly generation: number
  readonly change: Change<Model>
}

function unavailable(reason: string): Error {
  return readModelUnavailable('the simulated server', new Error(reason))
}
