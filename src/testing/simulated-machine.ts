/**
 * The real runtime on a simulated disk and clock: router, frames, worker, log. A process that dies takes its router and
 * all that was under way along; a worker whose journal breaks is replaced, and the router sends it again what it had.
 */
import { DEFAULT_ACTOR_LIMITS } from '../actor/limits.ts'
import type { Aggregate } from '../aggregate/aggregate.ts'
import { PenholdError } from '../aggregate/error.ts'
import { upcast } from '../aggregate/upcaster.ts'
import type { Link } from '../cluster/link.ts'
import { createRef, type Ref, type RefHost } from '../cluster/ref.ts'
import { Router } from '../cluster/router.ts'
import { formatId, IdSource } from '../log/identity.ts'
import { Log } from '../log/log.ts'
import { RecordKind } from '../log/record.ts'
import { streamName } from '../log/stream.ts'
import { defineCluster, type ClusterConfig } from '../node/config.ts'
import { startInline, type WorkerHandle } from '../node/worker-handle.ts'
import type { Answer, LoggedEvent, Machine, Misfortune, Question } from './machine.ts'
import { SeededRandom } from './random.ts'
import { SimulatedClock } from './simulated-clock.ts'
import { SimulatedDisk } from './simulated-disk.ts'
import { SimulatedStorage, type Fault, type Step } from './simulated-storage.ts'
import type { FaultKind } from './story.ts'

export interface MachineOptions {
  readonly aggregate: Aggregate
  readonly seed: number
  /** Told what befalls the machine, in words. */
  readonly onEvent: (what: string, fault?: FaultKind) => void
  /** Told what an operator would be told. */
  readonly onWarning: (message: string) => void
}

const SHARDS = 2
const SEGMENT_BYTES = 8 * 1024
const CLUSTER_ID = 'test'
/** All messages go to one worker, whatever their shard. */
const WORKER = 'worker'
const PASSIVATE_AFTER_MS = 60_000
/** No story takes so long: what is not answered by then never will be. */
const ASK_MS = 24 * 60 * 60_000

interface Life {
  readonly storage: SimulatedStorage
  readonly router: Router
  worker: WorkerHandle
  /** The worker's journal is at its end. */
  isBroken: boolean
}

export async function startMachine(options: MachineOptions): Promise<Machine> {
  const machine = new SimulatedMachine(options)
  await machine.start()
  return machine
}

class SimulatedMachine implements Machine {
  readonly #options: MachineOptions
  readonly #config: ClusterConfig
  readonly #disk = new SimulatedDisk()
  readonly #clock = new SimulatedClock()
  readonly #random: SeededRandom
  /** What will happen, and how many steps at the disk away. */
  #arranged: { readonly misfortune: Misfortune; stepsLeft: number }[] = []
  /** The power is lost together with the process that has just died. */
  #losesPower = false
  #life: Life | undefined
  /** A worker ended for a reason that no misfortune explains. */
  #defect: Error | undefined

  constructor(options: MachineOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed)
    const config = defineCluster({
      name: 'test',
      aggregates: [options.aggregate],
      dataDir: 'none',
      workers: 'inline',
      shards: SHARDS,
      limits: { passivateAfterMs: PASSIVATE_AFTER_MS },
      onWarning: options.onWarning,
    })
    // Smaller than a deployment may choose, so that segments are closed and begun within a story.
    this.#config = { ...config, segmentBytes: SEGMENT_BYTES }
  }

  async ask(question: Question): Promise<Answer> {
    const { id, name, payload, metadata, commandId } = question
    const ref = this.#ref(id, question.isFirst)
    const { version, events } = await ref.ask(name, payload, { commandId, metadata })
    return { version, events: events.map(({ type, data }) => ({ type, data })) }
  }

  query(id: string, name: string): Promise<unknown> {
    return this.#ref(id).query(name)
  }

  state(id: string, atVersion?: number): Promise<unknown> {
    return this.#ref(id).state(atVersion === undefined ? undefined : { atVersion })
  }

  async turn(): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve)
    })
    if (this.#defect !== undefined) throw this.#defect
    const life = this.#life
    if (life === undefined) return
    if (life.storage.isDead) await this.#resurrect(life)
    else if (life.isBroken) await this.#replaceWorker(life)
  }

  pass(ms: number): void {
    this.#clock.advance(ms)
  }

  arrange(misfortune: Misfortune): void {
    this.#arranged.push({ misfortune, stepsLeft: misfortune.at })
  }

  spare(): void {
    this.#arranged = []
  }

  passivate(): void {
    this.#clock.advance(2 * PASSIVATE_AFTER_MS)
  }

  async start(): Promise<void> {
    for (;;) {
      const arranged = this.#arranged.length
      const storage = new SimulatedStorage(this.#disk, (step) => this.#plan(step))
      try {
        const router = this.#createRouter()
        const life = { storage, router, isBroken: false } as Life
        life.worker = await this.#startWorker(life)
        router.attach(WORKER, mortal(life))
        this.#life = life
        return
      } catch (error) {
        storage.kill()
        // Each try meets one of them, so that there is a last one.
        if (!isOfMisfortune(error) || this.#arranged.length === arranged) throw error
        this.#losePower()
      }
    }
  }

  async restart(): Promise<void> {
    const life = this.#life!
    await this.turn()
    // It died meanwhile, and is back already.
    if (this.#life !== life) return
    try {
      await life.worker.close()
    } catch (error) {
      if (!isOfMisfortune(error)) throw error
    }
    await this.#end(life)
    this.#losePower()
    await this.start()
  }

  async bury(ids: readonly string[]): Promise<ReadonlyMap<string, readonly LoggedEvent[]>> {
    this.spare()
    await this.#end(this.#life!)
    this.#disk.losePower(this.#random)
    const own = Array.from({ length: SHARDS }, (_, shard) => shard)
    const storage = new SimulatedStorage(this.#disk)
    const settings = { clusterId: CLUSTER_ID, shards: SHARDS, own, segmentBytes: SEGMENT_BYTES, node: 'reader' }
    const log = await Log.open({ storage, clock: this.#clock, ...settings })
    for (const error of log.refusedShards.values()) throw error
    const histories = new Map<string, readonly LoggedEvent[]>()
    for (const id of ids) histories.set(id, await this.#read(log, id))
    await log.close()
    return histories
  }

  async #read(log: Log, id: string): Promise<readonly LoggedEvent[]> {
    const { aggregate } = this.#options
    const events: LoggedEvent[] = []
    for await (const record of log.back(log.placement.stream(streamName(aggregate.type, id)))) {
      if (record.kind !== RecordKind.event) continue
      const event = upcast(aggregate, { type: record.type, version: record.typeVersion }, record.data)
      events.push({ ...event, version: record.version, commandId: formatId(record.commandId) })
    }
    return events.reverse()
  }

  async #resurrect(life: Life): Promise<void> {
    await this.#end(life)
    this.#losePower()
    await this.start()
    this.#options.onEvent('the process is started again')
  }

  async #replaceWorker(life: Life): Promise<void> {
    const { router } = life
    router.detach(WORKER)
    await life.worker.terminate()
    life.isBroken = false
    try {
      life.worker = await this.#startWorker(life)
    } catch (error) {
      if (!isOfMisfortune(error)) throw error
      // The next turn tries again.
      life.isBroken = true
      return
    }
    router.attach(WORKER, mortal(life))
    this.#options.onEvent('its worker is replaced')
  }

  async #end(life: Life): Promise<void> {
    this.#life = undefined
    life.storage.kill()
    life.router.close()
    await life.worker.terminate()
  }

  #losePower(): void {
    if (!this.#losesPower) return
    this.#losesPower = false
    this.#disk.losePower(this.#random)
  }

  #startWorker(life: Life): Promise<WorkerHandle> {
    const { storage } = life
    const ports = { storage, clock: this.#clock, random: this.#random, config: this.#config }
    const shards = Array.from({ length: SHARDS }, (_, shard) => shard)
    const onEnd = (reason: string): void => {
      life.isBroken = true
      if (!/^(JournalBroken|ProcessDied)/.test(reason)) this.#defect = new Error(`a worker ended: ${reason}`)
    }
    return startInline(
      { ...ports, clusterId: CLUSTER_ID, shards, quarantined: [] },
      { onWarning: this.#options.onWarning, onLost: () => undefined, onEnd },
    )
  }

  #createRouter(): Router {
    const router = new Router({
      clock: this.#clock,
      shards: 1,
      underWayMax: this.#config.limits.underWayMax,
      timeoutMs: ASK_MS,
      onBadFrame: (_worker, error) => {
        throw error
      },
    })
    router.assign(0, WORKER)
    return router
  }

  /** `isFirst` says that a command's id was made for it, though the caller names it here. */
  #ref(id: string, isFirst = false): Ref<Aggregate> {
    const { router } = this.#life!
    const host: RefHost = {
      ids: new IdSource(this.#clock, this.#random),
      commandBytesMax: DEFAULT_ACTOR_LIMITS.commandBytesMax,
      shardOf: () => 0,
      send: (to, message, outcome, options) => {
        if (message.kind === 'command') message.isFresh = isFirst
        router.send(to.shard, message, outcome, options)
      },
      observe: () => undefined,
      onTellFailed: () => undefined,
    }
    return createRef(host, this.#options.aggregate, id)
  }

  #plan({ name, path }: Step): Fault {
    for (const arranged of this.#arranged) {
      arranged.stepsLeft -= 1
      if (arranged.stepsLeft >= 0 || !canStrike(arranged.misfortune, name)) continue
      this.#arranged = this.#arranged.filter((other) => other !== arranged)
      return this.#strike(arranged.misfortune, `${name} ${path}`)
    }
    return 'none'
  }

  #strike(misfortune: Misfortune, step: string): Fault {
    const { onEvent } = this.#options
    if (misfortune.kind === 'disk') {
      onEvent(misfortune.fault === 'full' ? `the disk has no room (${step})` : `the disk fails (${step})`, 'diskFaults')
      return misfortune.fault
    }
    const { isAfter, losesPower } = misfortune
    this.#losesPower = losesPower
    const fault = losesPower ? 'powerLoss' : 'crashes'
    onEvent(
      `the ${losesPower ? 'power is lost' : 'process dies'} ${isAfter ? 'after' : 'before'} a step at the disk (${step})`,
      fault,
    )
    return isAfter ? 'die-after' : 'die-before'
  }
}

/** The dead say nothing, whatever their code still runs through. */
function mortal({ storage, worker: { link } }: Life): Link {
  return {
    send: (frame) => link.send(frame),
    onFrame: (receive) => link.onFrame((frame) => (storage.isDead ? undefined : receive(frame))),
    get isFull() {
      return link.isFull
    },
    onDrain: (callback) => link.onDrain(() => (storage.isDead ? undefined : callback())),
    close: () => link.close(),
  }
}

/** A disk fails where it is written: what cannot be read closes its shard, which is another story. */
function canStrike(misfortune: Misfortune, step: Step['name']): boolean {
  if (misfortune.kind === 'die') return true
  return step === 'write' || (step === 'sync' && misfortune.fault === 'fail')
}

/** What a start or a stop may end with because of what was arranged. */
function isOfMisfortune(error: unknown): boolean {
  if (error instanceof Error && ['JournalBroken', 'ProcessDied'].includes(error.name)) return true
  if (error instanceof PenholdError && error.code === 'LogCorrupt') return isOfMisfortune(error.cause)
  return ['EIO', 'ENOSPC', 'StorageFull'].includes(String((error as { readonly code?: unknown } | undefined)?.code))
}
