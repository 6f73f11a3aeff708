/**
 * A whole node in memory, over virtual time: for tests of what events set in motion, and above all of timers and schedules.
 * It is the node that runs in production, with its log, its reactors and its timers; storage, clock and chance are others.
 */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { definitionError, describe } from '../aggregate/error.ts'
import type { Ref } from '../cluster/ref.ts'
import { MemoryStorage } from '../log/memory-storage.ts'
import type { ClusterConfig } from '../node/config.ts'
import type { ReactorRef } from '../node/consumers.ts'
import type { InboxRef } from '../node/inboxes.ts'
import type { NodeStore } from '../node/node-store.ts'
import type { ProcessRef } from '../node/process-ref.ts'
import { RunningNode, type Node } from '../node/running-node.ts'
import { startInline } from '../node/worker-handle.ts'
import type { Inbox } from '../react/inbox.ts'
import type { Outbox } from '../react/outbox.ts'
import type { Process } from '../react/process.ts'
import type { Reactor } from '../react/reactor.ts'
import type { Schedule } from '../react/schedule.ts'
import type { ScheduleRef } from '../react/schedule-status.ts'
import { SeededRandom } from './random.ts'
import { VirtualClock } from './virtual-clock.ts'

export interface VirtualNodeOptions {
  /** When its time begins. Default: midnight of 2026-01-01, UTC. */
  readonly now?: Date
}

/** What is asked is answered at once: no time passes meanwhile. */
export interface VirtualNode
  extends Pick<Node, 'ref' | 'store' | 'process' | 'reactor' | 'outbox' | 'inbox' | 'schedule'>, AsyncDisposable {
  /** What its clock shows. */
  readonly now: Date
  /** Lets time pass, with all that happens meanwhile. An hour takes a moment, a day some seconds. */
  pass(ms: number): Promise<void>
  /** Stops it and starts it again, with what its log has; `downMs` pass in between. As a deployment does, with another config. */
  restart(options?: { readonly downMs?: number; readonly config?: ClusterConfig }): Promise<void>
  close(): Promise<void>
}

/** What a command that is under way needs, and what reads the log behind it. */
const MOMENT_MS = 1_000
const IDENTITY = { format: 1, clusterId: 'virtual' }
const SEED = 1

/**
 * Starts a node in memory with a config of the program's: its aggregates, reactors, processes and schedules. Projections are
 * left out: test those with `givenEvents`.
 * @throws PenholdError `BadDefinition`
 */
export async function startVirtualNode(
  config: ClusterConfig,
  { now = new Date(Date.UTC(2026, 0, 1)) }: VirtualNodeOptions = {},
): Promise<VirtualNode> {
  if (Number.isNaN(now.getTime())) throw definitionError(`a virtual node cannot begin at ${describe(now)}; give a Date`)
  const node = new MemoryNode(config, now.getTime())
  await node.start()
  return node
}

class MemoryNode implements VirtualNode {
  #config: ClusterConfig
  readonly #clock: VirtualClock
  readonly #storage = new MemoryStorage()
  readonly #random = new SeededRandom(SEED)
  #running: RunningNode | undefined

  constructor(config: ClusterConfig, now: number) {
    this.#config = inMemory(config)
    this.#clock = new VirtualClock(now)
  }

  async start(): Promise<void> {
    const { name } = this.#config
    const ports = { clock: this.#clock, random: this.#random, storage: this.#storage }
    this.#running = new RunningNode(
      this.#config,
      { ...IDENTITY, name, shards: 1 },
      {
        ...ports,
        startWorker: (start, events) => startInline({ ...ports, ...start, config: this.#config, ...IDENTITY }, events),
        onClosed: () => Promise.resolve(),
      },
    )
    await this.#during(this.#running.start())
  }

  ref<A extends Aggregate>(aggregate: A, id: string): Ref<A> {
    return this.#node.ref(aggregate, id)
  }

  get store(): NodeStore {
    return this.#node.store
  }

  process<State>(process: Process<string, any, any, any, State>, key: string): ProcessRef<State> {
    return this.#node.process(process, key)
  }

  reactor(reactor: Pick<Reactor, 'name'>): ReactorRef {
    return this.#node.reactor(reactor)
  }

  outbox(outbox: Pick<Outbox, 'name'>): ReactorRef {
    return this.#node.outbox(outbox)
  }

  inbox(inbox: Pick<Inbox, 'name'>): InboxRef {
    return this.#node.inbox(inbox)
  }

  schedule(schedule: Pick<Schedule, 'name'>): ScheduleRef {
    return this.#node.schedule(schedule)
  }

  get now(): Date {
    return new Date(this.#clock.now())
  }

  async pass(ms: number): Promise<void> {
    if (!(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) {
      throw definitionError(`${describe(ms)} cannot pass; give milliseconds from 0`)
    }
    await this.#clock.pass(ms)
  }

  async restart({
    downMs = 0,
    config = this.#config,
  }: { readonly downMs?: number; readonly config?: ClusterConfig } = {}): Promise<void> {
    await this.close()
    await this.pass(downMs)
    this.#config = inMemory(config)
    await this.start()
  }

  async close(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    if (running !== undefined) await this.#during(running.close())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #node(): RunningNode {
    if (this.#running === undefined) throw definitionError('the virtual node is closed; start another')
    return this.#running
  }

  /** Whatever takes time gets it. */
  async #during(work: Promise<void>): Promise<void> {
    let isDone = false
    const done = work.finally(() => (isDone = true))
    done.catch(() => undefined)
    while (!isDone) await this.#clock.pass(MOMENT_MS / 1_000)
    await done
  }
}

function inMemory(config: ClusterConfig): ClusterConfig {
  // One shard: what others do at the same moment comes in the same order each time.
  return { ...config, projections: [], workers: 'inline', shards: 1, redis: undefined }
}
