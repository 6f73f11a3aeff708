/**
 * The outboxes of a simulated cluster: one that publishes what befalls accounts, and one of what somebody publishes by hand;
 * where they publish to, and those who look after them. In the end all that was to be published was.
 */
import { defineOutbox, deriveId, type ClusterConfig } from '../../../src/index.ts'
import type { ReactorRef } from '../../../src/node/consumers.ts'
import type { RunningNode } from '../../../src/node/running-node.ts'
import { CONSUMER } from '../../../src/react/consumer-record.ts'
import type { Outbox } from '../../../src/react/outbox.ts'
import type { OutboxMessage } from '../../../src/react/publisher.ts'
import type { AllPlace } from '../../../src/read/all.ts'
import { comparePlaces } from '../../../src/read/place.ts'
import { StreamPlacement } from '../../../src/log/stream.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import { SimulatedBroker } from '../../../src/testing/simulated-broker.ts'
import type { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import type { NodeParts, SimulatedNode } from '../../../src/testing/simulated-node.ts'
import type { SimulatedThread } from '../../../src/testing/simulated-thread.ts'
import type { Account } from '../bank.ts'
import type { Found } from '../ground-truth.ts'
import { attemptAt } from '../operate.ts'
import { inShard, timerStreams } from '../reactors/timed.ts'
import { OutboxProcess } from './outbox-process.ts'
import type { News, OutboxDeed, Publishing } from './plan.ts'
import { MessageWitness, type Fact } from './witness.ts'

const NOTICES = 'notices'
const NEWS = 'news'
/** Once all works again everything is published within this time. */
const END_MS = 90_000
const LOOK_MS = 250
/** What is done is recorded by then, and whoever runs a lane that another runs too has learnt of it. */
const REST_MS = 3_000
const ACCOUNTS = 5
const NEWS_STREAMS = 3
/** What moves so much is nobody else's affair. */
const SECRET = 7

interface Movement {
  readonly amount: number
  readonly by: number
}

export interface OutboxPartyOptions {
  readonly account: Account
  readonly config: ClusterConfig
  readonly plan: Publishing
  readonly areIdsKept: boolean
}

export class OutboxParty {
  readonly #cluster: SimulatedCluster
  readonly #account: Account
  readonly #plan: Publishing
  /** Whether a stream remembers ids for as long as somebody asks again. */
  readonly #areIdsKept: boolean
  readonly #broker: SimulatedBroker
  readonly #witness = new MessageWitness()
  readonly #processes: readonly OutboxProcess[]
  /** What was wrong on the way. */
  readonly #problems: string[] = []
  /** By event: how often it fails yet, and how often it has. */
  readonly #left = new Map<string, number>()
  readonly #failures = new Map<string, number>()
  /** Messages of which it is not said that they are refused: whoever takes them is away for these alone. */
  readonly #ignored = new Set<string>()
  /** Events that somebody has given up. */
  readonly #skipped = new Set<string>()
  /** Streams that somebody wanted tried again: each event of theirs is tried once then. */
  readonly #retried = new Set<string>()
  /** News that nobody knows yet to have been appended. */
  #unheard = 0
  #losesPowerAt: number

  constructor(cluster: SimulatedCluster, { account, config, plan, areIdsKept }: OutboxPartyOptions) {
    const { kernel } = cluster
    this.#cluster = cluster
    this.#account = account
    this.#plan = plan
    this.#areIdsKept = areIdsKept
    this.#losesPowerAt = plan.losesPowerAt ?? Number.POSITIVE_INFINITY
    this.#broker = new SimulatedBroker({
      kernel,
      random: new SeededRandom(cluster.random.next()),
      refuses: ({ stream, event }) => this.#fails(stream, Number(event.version), true),
      ignores: ({ stream, event }) => this.#isIgnored(nameOf(stream, Number(event.version))),
      onArrived: (arrived) => {
        this.#witness.landed(arrived)
        this.#maybeLosePower()
      },
    })
    this.#broker.server.schedule(plan.brokerFaults)
    for (const { account: of, version, times, isRefused } of plan.troubles) {
      const name = nameOf(`account/${of}`, version)
      this.#left.set(name, times === 'until mended' ? Number.POSITIVE_INFINITY : times)
      if (times === 'until mended' && isRefused && of % 2 === 1) this.#ignored.add(name)
    }
    for (const deed of plan.deeds) kernel.after(deed.atMs, () => void this.#at(deed.node, (ref) => this.#do(deed, ref)))
    for (const [i, news] of plan.news.entries()) kernel.after(news.atMs, () => void this.#tell(news, i))
    this.#processes = (plan.apart?.joinsAtMs ?? []).map((ms, i) => this.#newProcess(`outbox-${i}`, config, ms))
    for (const strike of plan.apart?.strikes ?? []) {
      kernel.after(strike.atMs, () => this.#processes[strike.process % this.#processes.length]?.strike(strike))
    }
  }

  parts(place: string, main: SimulatedThread): NodeParts {
    const { apart } = this.#plan
    const isInside = apart === undefined || place === `place-${apart.insideAt}`
    return { outboxes: [this.#notices(place, main, isInside ? 'inside' : 'apart'), this.#news(place, main)] }
  }

  heal(): void {
    this.#losesPowerAt = Number.POSITIVE_INFINITY
    this.#left.clear()
    this.#broker.server.heal()
    for (const process of this.#processes) process.heal()
  }

  /** What the log has beside the accounts. */
  streams(shards: number): readonly string[] {
    const placement = new StreamPlacement('simulated', shards)
    return [...accounts(), ...newsStreams(), ...recordsIn(placement), ...timerStreams(placement)]
  }

  /** That in peace everything comes to be published. */
  async unfinished(): Promise<string[]> {
    const { kernel } = this.#cluster
    let isAtEnd = false
    void this.#bringToAnEnd().then(() => (isAtEnd = true))
    if (!(await kernel.run({ untilMs: kernel.now + END_MS, isDone: () => isAtEnd }))) {
      return [`outboxes do not come to an end: ${await this.#describe()}`]
    }
    await kernel.run({ untilMs: kernel.now + REST_MS })
    const { arrived } = this.#witness
    await kernel.run({ untilMs: kernel.now + REST_MS })
    const again = this.#witness.arrived - arrived
    if (again > 0) return [`all is published, and ${again} messages are published again`]
    let hasEnded = false
    void Promise.all(this.#processes.map((process) => process.end())).then(() => (hasEnded = true))
    if (await kernel.run({ untilMs: kernel.now + END_MS, isDone: () => hasEnded })) return []
    return ['a process that runs an outbox does not end']
  }

  /** What is wrong with what was published, and with the records of how far that is. */
  broken({ others }: Found): string[] {
    const factsOf = (streams: readonly string[]): ReadonlyMap<string, readonly Fact[]> =>
      new Map(streams.map((stream) => [stream, others.get(stream) ?? []]))
    const isSkipped = (stream: string, version: number): boolean => this.#skipped.has(nameOf(stream, version))
    const notices = { outbox: NOTICES, facts: factsOf(accounts()), told: noticeOf, isSkipped }
    const news = { outbox: NEWS, facts: factsOf(newsStreams()), told: newsOf, isSkipped }
    const twice = this.#areIdsKept
      ? newsStreams().flatMap((stream) => repeatedIn(stream, others.get(stream) ?? []))
      : []
    const records = [...others].filter(([stream]) => stream.startsWith(`${CONSUMER}/outbox:`))
    return [
      ...records.flatMap(([stream, steps]) => backwardsIn(stream, steps)),
      ...this.#problems,
      ...this.#witness.problems,
      ...this.#witness.broken(notices),
      ...this.#witness.broken(news),
      ...twice,
    ]
  }

  #notices(place: string, main: SimulatedThread, runs: Outbox['runs']): Outbox {
    const map = (event: { stream: string; version: number; type: string; data: Movement }) => {
      if (this.#fails(event.stream, event.version, false)) throw new Error('it cannot be mapped')
      const data = noticeOf(event)
      return data === undefined ? undefined : { type: 'com.example.moved', data }
    }
    return defineOutbox({
      name: NOTICES,
      startAt: 'beginning',
      from: [this.#account],
      map: { Deposited: map, Withdrawn: map },
      runs,
      ...this.#settings(place, main),
    })
  }

  #news(place: string, main: SimulatedThread): Outbox {
    const map = ({ data }: { data: { n: string } }) => ({ type: 'com.example.news', data: { n: data.n } })
    return defineOutbox({
      name: NEWS,
      startAt: 'beginning',
      from: 'published',
      map: { Told: map },
      ...this.#settings(place, main),
    })
  }

  #settings(
    place: string,
    main: SimulatedThread,
  ): Pick<Outbox, 'publisher' | 'onFailure' | 'retries' | 'batchMax' | 'handlerTimeoutMs'> {
    const { onFailure, retries, batchMax, handlerTimeoutMs, isByStream, tells } = this.#plan
    const keyOf = ({ stream, event }: OutboxMessage): string => (isByStream ? `of-${stream}` : event.source)
    const publisher = this.#broker.publisher(place, main, { keyOf, tells })
    return { publisher, onFailure, retries, batchMax, handlerTimeoutMs }
  }

  #newProcess(name: string, config: ClusterConfig, joinsAtMs: number): OutboxProcess {
    const outboxAt = (main: SimulatedThread): Outbox => this.#notices(name, main, 'apart')
    const cluster = this.#cluster
    const told = { ...config, onWarning: (message: string) => cluster.warnings.push(message) }
    const process = new OutboxProcess({ cluster, name, config: told, outboxAt })
    cluster.kernel.after(joinsAtMs, () => process.start())
    return process
  }

  #isIgnored(name: string): boolean {
    if (!this.#ignored.has(name) || (this.#left.get(name) ?? 0) === 0) return false
    this.#failures.set(name, (this.#failures.get(name) ?? 0) + 1)
    return true
  }

  /** Whether an event fails now: it cannot be mapped, or its message is refused. */
  #fails(stream: string, version: number, isRefused: boolean): boolean {
    const name = nameOf(stream, version)
    const trouble = this.#plan.troubles.find((each) => nameOf(`account/${each.account}`, each.version) === name)
    const left = this.#left.get(name) ?? 0
    if (trouble === undefined || trouble.isRefused !== isRefused || left === 0 || this.#ignored.has(name)) return false
    this.#left.set(name, left - 1)
    this.#failures.set(name, (this.#failures.get(name) ?? 0) + 1)
    return true
  }

  /** Somebody has something appended, and asks until they know that it was. */
  async #tell(news: News, nth: number): Promise<void> {
    const { kernel } = this.#cluster
    const stream = newsStreams()[news.stream]!
    const events = Array.from({ length: news.events }, (_, i) => ({ type: 'Told', data: dataOf(news, `${nth}.${i}`) }))
    const options = { commandId: deriveId('news', nth) }
    const append = async ({ store }: RunningNode): Promise<boolean> => {
      await (news.isPublished ? store.publish(stream, events, options) : store.append(stream, events, options))
      return true
    }
    this.#unheard += 1
    for (let node = news.node; (await this.#attempt(node, append)) !== true; node += 1) await kernel.sleep(LOOK_MS)
    this.#unheard -= 1
  }

  async #do({ does, account }: OutboxDeed, ref: ReactorRef): Promise<void> {
    const stream = `account/${account}`
    switch (does) {
      case 'look':
        return await this.#look(ref)
      case 'pause':
        return await ref.pause()
      case 'resume':
        return await ref.resume()
      case 'retry':
        this.#retried.add(stream)
        await ref.retryParked(stream)
        return
      case 'skip': {
        const first = (await ref.parked()).find((parked) => parked.stream === stream)
        if (first === undefined) return
        // It may be done, and not told.
        this.#skipped.add(nameOf(stream, first.version))
        return await ref.skipParked({ stream, version: first.version, reason: 'by hand' })
      }
      case 'mend':
        return this.#left.clear()
    }
  }

  /** What is parked has failed as often as it is to be tried: that who takes messages was away is nobody's failure. */
  async #look(ref: ReactorRef): Promise<void> {
    for (const { stream, version, reason } of await ref.parked()) {
      const failures = this.#failures.get(nameOf(stream, version)) ?? 0
      const least = this.#retried.has(stream) ? 1 : this.#plan.retries + 1
      if (reason === undefined || failures >= least) continue
      this.#problems.push(`${nameOf(stream, version)} is parked, and has failed ${failures} times: ${reason}`)
    }
  }

  async #bringToAnEnd(): Promise<void> {
    for (;;) {
      await this.#cluster.kernel.sleep(LOOK_MS)
      const { nodes } = this.#cluster
      const all = await Promise.all(
        nodes.flatMap((_, node) => [NOTICES, NEWS].map((name) => this.#at(node, (ref) => this.#isDone(ref), name))),
      )
      const apart = await Promise.all(this.#processes.map(async (process) => (await process.status())?.state))
      if (apart.some((state) => state === 'paused' || state === 'halted')) await this.#at(0, (ref) => ref.resume())
      const isDone = all.length > 0 && all.every(Boolean) && apart.every((state) => state === 'caught up')
      if (isDone && this.#unheard === 0) return
    }
  }

  /** Resumes it, and retries what is parked; whether nothing was left to do. */
  async #isDone(ref: ReactorRef): Promise<boolean> {
    const { state } = await ref.status()
    if (state === 'paused' || state === 'halted') await ref.resume()
    await this.#look(ref)
    const parked = await ref.parked()
    for (const { stream } of parked) {
      this.#retried.add(stream)
      const { failed } = await ref.retryParked(stream)
      if (failed !== undefined) this.#problems.push(`${nameOf(stream, failed.version)} fails: ${failed.reason}`)
    }
    return parked.length === 0 && (state === 'caught up' || state === 'elsewhere')
  }

  async #describe(): Promise<string> {
    const { kernel, nodes } = this.#cluster
    let how = 'nobody says how they are'
    const told = nodes.flatMap((_, node) => [NOTICES, NEWS].map((name) => this.#at(node, (ref) => ref.status(), name)))
    const apart = this.#processes.map((process) => process.status())
    void Promise.all([...told, ...apart]).then((all) => (how = JSON.stringify(all)))
    await kernel.run({ untilMs: kernel.now + 10_000 })
    return `${this.#unheard} unheard; ${how}`
  }

  #at<Result>(
    node: number,
    work: (ref: ReactorRef) => Promise<Result>,
    name: string = NOTICES,
  ): Promise<Result | undefined> {
    return this.#attempt(node, (running) => work(running.outbox({ name })))
  }

  #attempt<Result>(nth: number, work: (running: RunningNode) => Promise<Result>): Promise<Result | undefined> {
    const { nodes } = this.#cluster
    const node: SimulatedNode | undefined = nodes[nth % Math.max(1, nodes.length)]
    if (node === undefined) return Promise.resolve(undefined)
    return attemptAt(node, work, (problem) => this.#problems.push(problem))
  }

  #maybeLosePower(): void {
    if (this.#witness.arrived < this.#losesPowerAt) return
    this.#losesPowerAt = Number.POSITIVE_INFINITY
    this.#cluster.schedule([{ kind: 'power-loss', atMs: this.#cluster.kernel.now }])
  }
}

/** What others may know of an account's event. */
function noticeOf({ type, data }: Pick<Fact, 'type' | 'data'>): unknown {
  const { amount, by } = data as Movement
  return type === 'Noted' || amount === SECRET ? undefined : { what: type, by }
}

function newsOf({ data }: Pick<Fact, 'data'>): unknown {
  const { n, isPublished } = data as { readonly n: string; readonly isPublished: boolean }
  return isPublished ? { n } : undefined
}

function dataOf({ isPublished }: News, n: string): { readonly n: string; readonly isPublished: boolean } {
  return { n, isPublished }
}

/** What was appended with one id is there once. */
function repeatedIn(stream: string, events: readonly Fact[]): string[] {
  const all = events.map(({ data }) => (data as { readonly n: string }).n)
  return new Set(all).size === all.length ? [] : [`${stream} has something twice: ${all.join()}`]
}

/** Where outboxes keep how far they are. */
function recordsIn(placement: StreamPlacement): readonly string[] {
  const shards = Array.from({ length: placement.shards }, (_, shard) => shard)
  const streams = [NOTICES, NEWS].map((name) => `${CONSUMER}/outbox:${name}`)
  return shards.flatMap((shard) => streams.map((stream) => inShard(placement, shard, stream)))
}

/** However many run a lane, each step goes on from the one before. */
function backwardsIn(stream: string, steps: readonly Fact[]): string[] {
  const places = steps.flatMap(({ data }) => (data as { readonly to?: AllPlace } | undefined)?.to ?? [])
  const at = places.findIndex((place, i) => i > 0 && comparePlaces(place, places[i - 1]!) <= 0)
  return at === -1 ? [] : [`${stream} goes back, from ${places[at - 1]!.position} to ${places[at]!.position}`]
}

function accounts(): readonly string[] {
  return Array.from({ length: ACCOUNTS }, (_, id) => `account/${id}`)
}

function newsStreams(): readonly string[] {
  return Array.from({ length: NEWS_STREAMS }, (_, id) => `news/${id}`)
}

function nameOf(stream: string, version: number): string {
  return `${stream}/${version}`
}
