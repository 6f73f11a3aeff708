/**
 * A running node: its workers behind a router and a supervisor, and the refs that lead to them. What it runs on is a
 * port, so that the simulator runs this very code.
 */
import type { Aggregate } from '../aggregate/aggregate.ts'
import type { PenholdError } from '../aggregate/error.ts'
import type { NodeMeasure } from '../cluster/control.ts'
import { nodeClosed } from '../cluster/error.ts'
import type { ProjectionCall } from '../cluster/projection-call.ts'
import type { OpenReading } from '../cluster/reading-end.ts'
import { createRef, type Address, type Ref, type RefHost } from '../cluster/ref.ts'
import type { Member, View } from '../cluster/leases.ts'
import { createRing, shardsOf } from '../cluster/ring.ts'
import { Router, type Outcome, type RequestOptions } from '../cluster/router.ts'
import type { Unsent } from '../cluster/wire.ts'
import type { Clock } from '../log/clock.ts'
import { IdSource } from '../log/identity.ts'
import type { Random } from '../log/random.ts'
import type { Storage } from '../log/storage.ts'
import { StreamPlacement } from '../log/stream.ts'
import type { TailSource } from '../log/tail.ts'
import { ClusterSide, type ClusterPorts } from './cluster-side.ts'
import { RunningNodeStore, type NodeStore } from './node-store.ts'
import { addressedBy, checkAddressed, type ClusterConfig } from './config.ts'
import { createProcessRef, type ProcessRef } from './process-ref.ts'
import type { ClusterIdentity } from '../log/cluster-identity.ts'
import { toMeasure, type Examination } from './health.ts'
import { operateNode } from './operation.ts'
import { otherKinds } from './other-kinds.ts'
import { Projections, type ProjectionRef } from './projections.ts'
import { Pulse } from './pulse.ts'
import { Consumers, type ReactorRef } from './consumers.ts'
import { NodeEffects } from './effects.ts'
import { HeldReplies, type HeldRepliesOptions } from './held-replies.ts'
import { Inboxes, type InboxRef, type LocalInbox } from './inboxes.ts'
import type { Inbox } from '../react/inbox.ts'
import type { Outbox } from '../react/outbox.ts'
import { keyOf } from '../react/consumer-record.ts'
import { openOutbox, type OpenOutbox } from '../react/open-outbox.ts'
import { consumersOf } from '../react/process-consumers.ts'
import type { Process } from '../react/process.ts'
import type { Reactor } from '../react/reactor.ts'
import { reactorConsumer } from '../react/reactor-consumer.ts'
import type { ShardsHere } from '../react/running-consumer.ts'
import type { Schedule } from '../react/schedule.ts'
import type { ScheduleRef } from '../react/schedule-status.ts'
import { SynchronousReactors } from '../react/synchronous-reactors.ts'
import { Timers, type TimersCondition } from '../react/timers.ts'
import type { ConsumerStatus } from '../react/consumer-status.ts'
import type { Projection } from '../read/projection.ts'
import type { ProjectionStatus } from '../read/projection-status.ts'
import { Schedules } from './schedules.ts'
import { Supervisor } from './supervisor.ts'
import type { WorkerEvents, WorkerHandle } from './worker-handle.ts'
import type { Start, WorkerStatus } from './worker-host.ts'

/** What a node says of itself. */
export interface NodeStatus {
  readonly name: string
  readonly dataDir: string
  /** By worker; undefined for one that is being replaced. */
  readonly workers: readonly (WorkerStatus | undefined)[]
  readonly workerRestarts: number
  /** Requests that wait for their reply. */
  readonly underWay: number
  /** For a node of several: who they are and what they own, as it has last heard. */
  readonly cluster: View | undefined
  /** For a node of several: what the others are told of it. */
  readonly member: Member | undefined
  /** Of all that the config names, wherever they run. */
  readonly projections: readonly ProjectionStatus[]
  /** Of all reactors that the config names: their lanes that run here. */
  readonly reactors: readonly ConsumerStatus[]
  /** The same of processes: of what tells them, and of what sends what they want sent. */
  readonly processes: readonly ConsumerStatus[]
  /** The same of outboxes. */
  readonly outboxes: readonly ConsumerStatus[]
  /** Of what reads which timers are set, and sends what they were set for. */
  readonly timers: readonly ConsumerStatus[]
  /** Of the inboxes that the config names: those that run here. */
  readonly inboxes: readonly LocalInbox[]
  /** How the timers of the shards are that are served here. */
  readonly wheels: TimersCondition
  /** `host:port` where it answers probes, where it does. */
  readonly health: string | undefined
}

/** A running node. Close it, or let `await using` do so: what was asked is answered and made durable first. */
export interface Node extends AsyncDisposable {
  /**
   * The address of an aggregate, typed by its definition.
   * @throws PenholdError `BadAddress` where the id cannot be one, `BadDefinition` where the config lacks the aggregate
   */
  ref<A extends Aggregate>(aggregate: A, id: string): Ref<A>
  /** Streams by name, without an aggregate's definition, and everything in one order. */
  readonly store: NodeStore
  /**
   * A projection of the config.
   * @throws PenholdError `BadDefinition` where it is none of the config's
   */
  projection<Model>(projection: Projection<Model>): ProjectionRef<Model>
  /**
   * A process of the config, by its key.
   * @throws PenholdError `BadAddress` where the key cannot be one, `BadDefinition` where the config lacks the process
   */
  process<State>(process: Process<string, any, any, any, State>, key: string): ProcessRef<State>
  /**
   * A reactor of the config.
   * @throws PenholdError `BadDefinition` where it is none of the config's
   */
  reactor(reactor: Pick<Reactor, 'name'>): ReactorRef
  /**
   * An outbox of the config, wherever it runs. Its status is that of the shards whose events are published here.
   * @throws PenholdError `BadDefinition` where it is none of the config's
   */
  outbox(outbox: Pick<Outbox, 'name'>): ReactorRef
  /**
   * An inbox of the config.
   * @throws PenholdError `BadDefinition` where it is none of the config's
   */
  inbox(inbox: Pick<Inbox, 'name'>): InboxRef
  /**
   * A schedule of the config.
   * @throws PenholdError `BadDefinition` where it is none of the config's
   */
  schedule(schedule: Pick<Schedule, 'name'>): ScheduleRef
  /** @throws PenholdError `NodeClosed` */
  status(): Promise<NodeStatus>
  /** Takes no more requests, answers those under way, and ends. */
  close(): Promise<void>
}

/** What a node is made on. */
export interface NodePorts {
  readonly clock: Clock
  readonly random: Random
  /** Where the log is. */
  readonly storage: Storage
  /** Resolves when the worker serves. */
  startWorker(start: Start, events: WorkerEvents): Promise<WorkerHandle>
  /** The node has ended. */
  onClosed(): Promise<void>
  /** For a node that is one of several. Without it, it owns everything. */
  readonly cluster?: ClusterPorts | undefined
  /** Where it answers probes. */
  readonly health?: string | undefined
  /** Of what reacts to events it runs this one consumer alone, by its key (`keyOf`). */
  readonly only?: string | undefined
}

export class RunningNode implements Node, RefHost {
  readonly ids: IdSource
  readonly commandBytesMax: number
  readonly #store: RunningNodeStore
  readonly #config: ClusterConfig
  readonly #ports: NodePorts
  readonly #placement: StreamPlacement
  readonly #router: Router
  readonly #supervisor: Supervisor
  readonly #cluster: ClusterSide | undefined
  readonly #workers: number
  readonly #pulse: Pulse
  readonly #projections: Projections
  readonly #outboxes: readonly OpenOutbox[]
  readonly #consumers: Consumers
  readonly #inboxes: Inboxes
  readonly #schedules: Schedules
  /** For a node alone: the shards of each worker. */
  readonly #shardsOfWorker: (worker: number) => readonly number[]
  #isServing = false
  #examining: Promise<Examination> | undefined
  #closing: Promise<void> | undefined

  constructor(config: ClusterConfig, identity: ClusterIdentity, ports: NodePorts) {
    const { clusterId, shards } = identity
    const { clock, random } = ports
    this.#config = config
    this.#ports = ports
    this.ids = new IdSource(clock, random)
    this.commandBytesMax = config.limits.commandBytesMax
    this.#placement = new StreamPlacement(clusterId, shards)
    this.#workers = config.workers === 'inline' ? 1 : config.workers
    const { limits, timeouts, onWarning } = config
    const side = ports.cluster
    this.#router = new Router({
      clock,
      shards,
      underWayMax: limits.underWayMax,
      timeoutMs: timeouts.askMs,
      onBadFrame: (owner, error) => {
        this.#supervisor.distrust(owner, error)
        this.#cluster?.distrust(owner, error)
      },
      nodeOf: (owner) => this.#cluster?.nodeOf(owner) ?? 'this node',
      ...(side === undefined ? {} : { onElsewhere: () => undefined }),
    })
    this.#pulse = new Pulse(clock)
    const measure = async (): Promise<NodeMeasure> => toMeasure(await this.examine())
    const callProjection = (call: ProjectionCall): Promise<unknown> => this.#operate(call)
    const openReading: OpenReading = (...asked) => this.#store.openReading(...asked)
    const parts = { clock, router: this.#router, onWarning, measure, callProjection, openReading }
    const sideOptions = { ...parts, identity: { ...identity }, workers: this.#workers }
    this.#cluster = side && new ClusterSide({ ...sideOptions, ports: side })
    const cluster = this.#cluster
    const ownerOf = (worker: number): string => cluster?.ownerOf(worker) ?? `worker-${worker}`
    this.#shardsOfWorker = cluster === undefined ? this.#divide(shards, ownerOf) : () => []
    const { storage } = ports
    const { aggregates } = config
    const readers = { workers: () => this.#tails, ownWorkers: () => this.#ownTails }
    const storeOptions = { storage, clock, identity, aggregates, onWarning, ...readers }
    this.#store = new RunningNodeStore(this, storeOptions)
    this.#projections = this.#newProjections()
    this.#outboxes = config.outboxes.map((outbox) => openOutbox(outbox, clock))
    const effects = new NodeEffects({ host: this, store: this.#store, aggregates: addressedBy(config) })
    this.#consumers = this.#newConsumers(effects)
    this.#inboxes = this.#newInboxes(effects)
    this.#schedules = new Schedules(config.schedules, effects)
    const held = this.#newHeldReplies()
    this.#supervisor = new Supervisor({
      clock,
      router: this.#router,
      handlerMs: timeouts.handlerMs,
      onWarning,
      ownerOf,
      onWorker: (worker, handle) => cluster?.setWorker(worker, handle),
      onLost: (worker, lost) => cluster?.lost(worker, lost),
      start: async (worker, events, quarantined) => {
        const handle = await ports.startWorker({ shards: this.#shardsOfWorker(worker), quarantined }, events)
        return held?.of(handle) ?? handle
      },
    })
  }

  /** Undefined where nothing synchronous is to be waited for: then replies go on unread. */
  #newHeldReplies(): HeldReplies | undefined {
    const { reactors: all } = this.#config
    const reactors = SynchronousReactors.of({ reactors: all, aggregates: addressedBy(this.#config) })
    if (reactors === undefined) return undefined
    const unsettled: HeldRepliesOptions['unsettled'] = (wanted, ms) => this.#consumers.unsettled(wanted, ms)
    return new HeldReplies({ clock: this.#ports.clock, reactors, unsettled })
  }

  #newConsumers(effects: NodeEffects): Consumers {
    const { reactors, processes, schedules, outboxes, onWarning } = this.#config
    const { clock, only } = this.#ports
    const { shards } = this.#placement
    const apart = outboxes.filter(({ runs }) => runs === 'apart').map(({ name }) => keyOf({ kind: 'outbox', name }))
    return new Consumers({
      consumers: [
        ...reactors.map((reactor) => reactorConsumer(reactor, onWarning)),
        ...processes.flatMap(consumersOf),
        ...this.#outboxes.map(({ consumer }) => consumer),
      ],
      timers: new Timers({
        clock,
        otherTime: () => this.#cluster?.storeTime,
        effects,
        shards,
        schedules,
        onWarning,
        newId: () => this.ids.next(),
      }),
      apart: new Set(apart),
      only,
      feeds: this.#store.consumerFeeds,
      effects,
      ids: this.ids,
      clock,
      onWarning,
      shards,
      shardOf: (stream) => this.shardOf(stream),
      shardsHere: () => this.#shardsHere,
    })
  }

  #operate(call: ProjectionCall): Promise<unknown> {
    const [projections, consumers, inboxes] = [this.#projections, this.#consumers, this.#inboxes]
    const others = otherKinds(this.#config)
    return operateNode({ projections, consumers, inboxes, schedules: this.#schedules, others }, call)
  }

  #newProjections(): Projections {
    const { projections, dataDir, onWarning } = this.#config
    return new Projections({
      projections,
      feeds: (order) => this.#store.feeds(order),
      clock: this.#ports.clock,
      onWarning,
      dataDir,
      lanesHere: (projection) => this.#lanesHere(projection),
    })
  }

  #newInboxes(effects: NodeEffects): Inboxes {
    const { inboxes, onWarning } = this.#config
    return new Inboxes({
      inboxes,
      effects,
      ids: this.ids,
      clock: this.#ports.clock,
      shardOf: (stream) => this.shardOf(stream),
      shardsHere: () => this.#shardsHere,
      onWarning,
    })
  }

  /** All workers, as readers ask them. */
  get #tails(): readonly TailSource[] {
    return [...this.#ownTails, ...(this.#cluster?.tails ?? [])]
  }

  get #ownTails(): readonly TailSource[] {
    return this.#supervisor.handles.filter((handle) => handle !== undefined)
  }

  #lanesHere({ name, order }: Projection): readonly string[] {
    const served = this.#cluster?.served
    const serves = (shard: number): boolean => served?.has(shard) ?? true
    const { lanes } = this.#store.feeds(order)
    if (order === 'shard') return lanes.filter((lane) => serves(Number(lane)))
    return serves(this.#placement.shardOf(`$projection/${name}`)) ? lanes : []
  }

  get #shardsHere(): ShardsHere {
    // Alone it owns everything until it ends.
    return this.#cluster?.served ?? new Map(Array.from({ length: this.#placement.shards }, (_, shard) => [shard, 0]))
  }

  /** Alone it owns everything: each worker has its shards, for good. */
  #divide(shards: number, ownerOf: (worker: number) => string): (worker: number) => readonly number[] {
    const workers = Array.from({ length: this.#workers }, (_, worker) => ({ name: ownerOf(worker), weight: 1 }))
    const ring = createRing(workers, shards)
    for (const [shard, owner] of ring.owners.entries()) this.#router.assign(shard, owner)
    return (worker) => shardsOf(ring, ownerOf(worker))
  }

  /** Resolves when every shard that is the node's at first has been taken over and is served. */
  async start(): Promise<void> {
    if (this.#cluster === undefined) await this.#supervisor.start(this.#workers)
    else await this.#join(this.#cluster)
    this.#isServing = true
    this.#projections.start()
    this.#inboxes.start()
    await this.#consumers.start()
  }

  async #join(cluster: ClusterSide): Promise<void> {
    try {
      await cluster.listen()
      await this.#supervisor.start(this.#workers)
      await cluster.join()
    } catch (error) {
      await this.#supervisor.close(this.#config.timeouts.stopMs)
      await cluster.close()
      throw error
    }
  }

  ref<A extends Aggregate>(aggregate: A, id: string): Ref<A> {
    checkAddressed(this.#config, aggregate, 'node')
    return createRef(this, aggregate, id)
  }

  get store(): NodeStore {
    return this.#store as unknown as NodeStore
  }

  projection<Model>(projection: Projection<Model>): ProjectionRef<Model> {
    return this.#projections.ref(projection)
  }

  process<State>(process: Process<string, any, any, any, State>, key: string): ProcessRef<State> {
    return createProcessRef(this, { config: this.#config, process, key })
  }

  reactor(reactor: Pick<Reactor, 'name'>): ReactorRef {
    return this.#consumers.reactor(reactor.name)
  }

  outbox(outbox: Pick<Outbox, 'name'>): ReactorRef {
    return this.#consumers.outbox(outbox.name)
  }

  inbox(inbox: Pick<Inbox, 'name'>): InboxRef {
    return this.#inboxes.ref(inbox)
  }

  schedule(schedule: Pick<Schedule, 'name'>): ScheduleRef {
    return this.#schedules.ref(schedule)
  }

  async status(): Promise<NodeStatus> {
    if (this.#closing !== undefined) throw nodeClosed('none')
    const consumers = await this.#consumers.status()
    const ofKind = (of: ConsumerStatus['kind']): readonly ConsumerStatus[] =>
      consumers.filter(({ kind }) => kind === of)
    return {
      name: this.#config.name,
      dataDir: this.#config.dataDir,
      workers: await this.#supervisor.status(),
      workerRestarts: this.#supervisor.restarts,
      underWay: this.#router.underWay,
      cluster: this.#cluster?.view,
      member: this.#cluster?.member,
      health: this.#ports.health,
      projections: await this.#projections.status(),
      reactors: ofKind('reactor'),
      processes: ofKind('process'),
      outboxes: ofKind('outbox'),
      timers: ofKind('timers'),
      inboxes: this.#inboxes.conditions,
      wheels: this.#consumers.wheels,
    }
  }

  /** How it is now, by asking its workers. Whoever asks while others wait for the answer waits for the same. */
  examine(): Promise<Examination> {
    this.#examining ??= this.#examine().finally(() => (this.#examining = undefined))
    return this.#examining
  }

  async #examine(): Promise<Examination> {
    const workers = await this.#pulse.take(this.#supervisor.handles)
    const ownership = this.#cluster?.condition
    const lost = workers.flatMap((reading, worker) => {
      if (reading.kind !== 'answered') return []
      const { shards, refused } = reading.status
      const known = new Set([...shards, ...refused].map(({ shard }) => shard))
      return this.#shardsOfWorker(worker).filter((shard) => !known.has(shard))
    })
    const [projections, reactors] = [this.#projections.conditions, this.#consumers.conditions]
    const { wheels } = this.#consumers
    const inboxes = this.#inboxes.conditions
    return { phase: this.#phase, workers, ownership, lost, projections, reactors, inboxes, wheels }
  }

  get #phase(): Examination['phase'] {
    if (this.#closing !== undefined) return 'stopping'
    return this.#isServing ? 'serving' : 'starting'
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  shardOf(stream: string): number {
    return this.#placement.shardOf(stream)
  }

  send({ shard }: Address, message: Unsent, outcome: Outcome, options: RequestOptions): void {
    this.#router.send(shard, message, outcome, options)
  }

  observe(position: number): void {
    this.#router.observe(position)
  }

  onTellFailed(error: PenholdError, stream: string, name: string): void {
    this.#config.onTellFailed(error, { stream, name })
  }

  async #close(): Promise<void> {
    const { onWarning, timeouts } = this.#config
    const { stopMs } = timeouts
    try {
      // What they do goes through the router; so they are first, and leave the rest of the time to what is asked.
      await Promise.all([this.#consumers.close(stopMs / 2), this.#inboxes.close()])
      await Promise.all(this.#outboxes.map((outbox) => outbox.close(onWarning)))
      await Promise.all([this.#router.drain(stopMs), this.#projections.close(stopMs)])
      await this.#store.close()
    } finally {
      try {
        await this.#cluster?.drain(stopMs)
        await this.#supervisor.close(stopMs)
      } finally {
        await this.#cluster?.close()
        this.#router.close()
        await this.#ports.onClosed()
      }
    }
  }
}
