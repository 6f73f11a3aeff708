/**
 * The reactor of a simulated cluster, which notes each event of an account in a tally of its own, and those who look after
 * it. In the end each tally has each event of its account once, in order.
 */
import { defineAggregate, defineReactor, PenholdError, type Reactor } from '../../../src/index.ts'
import type { ReactorRef } from '../../../src/node/consumers.ts'
import { CONSUMER } from '../../../src/react/consumer-record.ts'
import { StreamPlacement } from '../../../src/log/stream.ts'
import type { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import type { NodeParts, SimulatedNode } from '../../../src/testing/simulated-node.ts'
import type { SimulatedThread } from '../../../src/testing/simulated-thread.ts'
import type { LoggedStreams } from '../../checker/history.ts'
import type { Account } from '../bank.ts'
import type { Attempt } from '../history.ts'
import type { Found } from '../ground-truth.ts'
import type { Reacting, ReactorDeed, ReactorPlan } from './plan.ts'
import { areGuestsAnswered, brokenGuests, guestStreams, turnGates } from './admitted.ts'
import { auditStreams, brokenAudits, isAudited } from './audited.ts'
import { brokenShifts, isShifted, shiftedStreams, shiftingReactor, SHIFTS } from './shifted.ts'
import { isStamped, STAMPS, Stamping, stampStreams } from './stamped.ts'
import { brokenTimers, isTimedDone, timedReactor, timedStreams } from './timed.ts'

export const Tally = defineAggregate({
  type: 'tally',
  initialState: () => 0,
  events: { Noted: (count, _event: { of: number }) => count + 1 },
  commands: { note: (_count, { of }: { of: number }, { emit }) => emit.Noted({ of }) },
})

const NAME = 'notes'
/** Less than any trouble that hangs for long. */
const HANDLER_MS = 300
/** Once all works again everything is noted within this time. */
const END_MS = 90_000
const LOOK_MS = 250
/** More than any shard of the simulated clusters needs. */
const ACCOUNTS = 5

export class ReactorParty {
  /** What was wrong on the way. */
  readonly #problems: string[] = []
  readonly #cluster: SimulatedCluster
  readonly #account: Account
  readonly #plan: Reacting
  readonly #areClocksSet: boolean
  readonly #isAudited: boolean
  readonly #hasGuests: boolean
  readonly #isShifting: boolean
  readonly #stamping: Stamping | undefined
  /** By event, how often its handler fails yet. */
  readonly #left = new Map<string, number>()
  /** Events that somebody has given up. */
  readonly #skipped = new Set<string>()
  #handled = 0
  #losesPowerAt: number

  constructor(cluster: SimulatedCluster, account: Account, { reacting: plan, ...cast }: ReactorPlan) {
    this.#areClocksSet = areClocksSet(cast)
    this.#isAudited = cast.isAudited === true
    this.#hasGuests = cast.gatesTurnMs !== undefined
    this.#isShifting = cast.isShifting === true
    this.#stamping = cast.isStamped === true ? new Stamping(account, plan) : undefined
    this.#cluster = cluster
    this.#account = account
    this.#plan = plan
    this.#losesPowerAt = plan.losesPowerAt ?? Number.POSITIVE_INFINITY
    if (cast.gatesTurnMs !== undefined) turnGates(cluster, cast.gatesTurnMs)
    for (const trouble of plan.troubles) {
      const times = trouble.times === 'until mended' ? Number.POSITIVE_INFINITY : trouble.times
      this.#left.set(nameOf(`account/${trouble.account}`, trouble.version), times)
    }
    for (const deed of plan.deeds) {
      cluster.kernel.after(deed.atMs, () => {
        const { nodes } = cluster
        const node = nodes[deed.node % Math.max(1, nodes.length)]
        if (node === undefined) return
        for (const name of this.#names) void this.#attempt(node, name, (ref) => this.#do(deed, name, ref))
      })
    }
  }

  /** What operators look after. */
  get #names(): readonly string[] {
    return [NAME, ...(this.#stamping === undefined ? [] : [STAMPS]), ...(this.#isShifting ? [SHIFTS] : [])]
  }

  /** A client has its outcome, now. */
  told(attempt: Attempt): void {
    this.#stamping?.told(attempt)
  }

  parts(_place: string, main: SimulatedThread): NodeParts {
    const { onFailure, retries, concurrency } = this.#plan
    const note: Reactor['on'][string] = async ({ stream, version }, { ask }) => {
      const name = nameOf(stream, version)
      await this.#strike(name, false, main)
      await ask(Tally, stream.slice('account/'.length), 'note', { of: version })
      await this.#strike(name, true, main)
      this.#handled += 1
      this.#maybeLosePower()
    }
    const on = { Deposited: note, Withdrawn: note, Noted: note }
    const settings = { onFailure, retries, concurrency, handlerTimeoutMs: HANDLER_MS }
    const notes = defineReactor({ name: NAME, from: [this.#account], startAt: 'beginning', on, ...settings })
    const timed = timedReactor(this.#account, this.#areClocksSet)
    const stamps = this.#stamping === undefined ? [] : [this.#stamping.at(main)]
    const shifts = this.#isShifting ? [shiftingReactor(this.#account, this.#areClocksSet)] : []
    return { reactors: [notes, timed, ...stamps, ...shifts] }
  }

  heal(): void {
    this.#losesPowerAt = Number.POSITIVE_INFINITY
    this.#left.clear()
    this.#stamping?.heal()
  }

  /** What the log has beside the accounts. */
  streams(shards: number, log: LoggedStreams): readonly string[] {
    const placement = new StreamPlacement('simulated', shards)
    const records = Array.from({ length: shards }, (_, shard) => recordIn(placement, shard))
    return [
      ...Array.from({ length: ACCOUNTS }, (_, id) => `tally/${id}`),
      ...records,
      ...timedStreams(placement, log),
      ...auditStreams(placement, log),
      ...(this.#hasGuests ? guestStreams(placement, log) : []),
      ...(this.#stamping === undefined ? [] : stampStreams(placement, log)),
      ...(this.#isShifting ? shiftedStreams(placement, log) : []),
    ]
  }

  /** That in peace everything comes to be handled. */
  async unfinished(): Promise<string[]> {
    const { kernel } = this.#cluster
    let isAtEnd = false
    void this.#bringToAnEnd().then(() => (isAtEnd = true))
    if (await kernel.run({ untilMs: kernel.now + END_MS, isDone: () => isAtEnd })) return []
    let how = 'nobody says how it is'
    const told = this.#cluster.nodes.flatMap((node) =>
      this.#names.map((name) => this.#attempt(node, name, (ref) => ref.status())),
    )
    void Promise.all(told).then((all) => (how = JSON.stringify(all)))
    await kernel.run({ untilMs: kernel.now + 10_000 })
    return [`the reactor does not come to an end: ${how}`]
  }

  /** That each event was noted once, in order. */
  broken({ log, others }: Found): string[] {
    const tallies = notedIn(others)
    const problems = [...this.#problems, ...brokenTimers(log, tallies)]
    const data = dataIn(others)
    if (this.#isAudited) problems.push(...brokenAudits(log, data))
    if (this.#hasGuests) problems.push(...brokenGuests(log, others))
    if (this.#stamping !== undefined) problems.push(...this.#stamping.broken(log, data))
    if (this.#isShifting) problems.push(...brokenShifts(log, others))
    for (const [stream, events] of log) {
      const noted = tallies.get(`tally/${stream.slice('account/'.length)}`) ?? []
      const wanted = events.map(({ version }) => version)
      const isFree = (version: number): boolean => this.#skipped.has(nameOf(stream, version))
      const [have, expected] = [noted, wanted].map((all) => all.filter((version) => !isFree(version)).join())
      if (have !== expected) problems.push(`of ${stream} were noted ${have}, and there are ${expected}`)
      if (new Set(noted).size < noted.length) problems.push(`of ${stream} were noted ${noted.join()}: one twice`)
    }
    return problems
  }

  async #bringToAnEnd(): Promise<void> {
    for (;;) {
      await this.#cluster.kernel.sleep(LOOK_MS)
      const all = await Promise.all(this.#cluster.nodes.map((node) => this.#isDone(node)))
      if (all.length > 0 && all.every((isDone) => isDone)) return
    }
  }

  async #isDone(node: SimulatedNode): Promise<boolean> {
    for (const name of this.#names) if ((await this.#isCalm(node, name)) !== true) return false
    // What has fired last may be told of yet.
    if (this.#isShifting && (await this.#isCalm(node, '$timer-commands')) !== true) return false
    const isDone = await this.#attempt(node, NAME, async () => {
      if (!(await isTimedDone(node, ACCOUNTS))) return false
      if (this.#isAudited && !(await isAudited(node, ACCOUNTS))) return false
      if (this.#hasGuests && !(await areGuestsAnswered(node, ACCOUNTS))) return false
      if (this.#isShifting && !(await isShifted(node, ACCOUNTS))) return false
      return this.#stamping === undefined || (await isStamped(node, ACCOUNTS))
    })
    return isDone === true
  }

  /** Resumes a reactor, and retries what is parked; whether nothing was left to do. */
  #isCalm(node: SimulatedNode, name: string): Promise<boolean | undefined> {
    return this.#attempt(node, name, async (ref) => {
      const { state } = await ref.status()
      if (state === 'paused' || state === 'halted') await ref.resume()
      const parked = await ref.parked()
      for (const { stream } of parked) {
        const { failed } = await ref.retryParked(stream)
        if (failed !== undefined) this.#problems.push(`${nameOf(stream, failed.version)} fails: ${failed.reason}`)
      }
      return parked.length === 0 && (state === 'caught up' || state === 'elsewhere')
    })
  }

  async #do({ does, account }: ReactorDeed, name: string, ref: ReactorRef): Promise<void> {
    const stream = `account/${account}`
    switch (does) {
      case 'pause':
        return await ref.pause()
      case 'resume':
        return await ref.resume()
      case 'retry':
        await ref.retryParked(stream)
        return
      case 'skip': {
        // Nobody gives up a stamp.
        if (name !== NAME) return
        const first = (await ref.parked()).find((parked) => parked.stream === stream)
        if (first === undefined) return
        // It may be done, and not told.
        this.#skipped.add(nameOf(stream, first.version))
        return await ref.skipParked({ stream, version: first.version, reason: 'by hand' })
      }
      case 'mend':
        this.#stamping?.heal()
        return this.#left.clear()
    }
  }

  /** Undefined where the node dies, or says that it cannot be done. */
  #attempt<Result>(
    node: SimulatedNode,
    name: string,
    work: (ref: ReactorRef) => Promise<Result>,
  ): Promise<Result | undefined> {
    return new Promise((resolve) => {
      node.onDead(() => resolve(undefined))
      node.main.run(() => {
        work(node.running.reactor({ name })).then(resolve, (error: unknown) => {
          if (!(error instanceof PenholdError)) this.#problems.push(`an operator was told: ${String(error)}`)
          resolve(undefined)
        })
      })
    })
  }

  async #strike(name: string, isLate: boolean, main: SimulatedThread): Promise<void> {
    const trouble = this.#plan.troubles.find((each) => nameOf(`account/${each.account}`, each.version) === name)
    const left = this.#left.get(name) ?? 0
    if (trouble === undefined || trouble.isLate !== isLate || left === 0) return
    this.#left.set(name, left - 1)
    const { hangsMs } = trouble
    if (hangsMs === undefined) throw new Error(`${name} cannot be handled`)
    await new Promise<void>((resolve) => main.after(hangsMs, resolve))
  }

  #maybeLosePower(): void {
    if (this.#handled < this.#losesPowerAt) return
    this.#losesPowerAt = Number.POSITIVE_INFINITY
    this.#cluster.schedule([{ kind: 'power-loss', atMs: this.#cluster.kernel.now }])
  }
}

/** By tally: which events it has noted. */
function notedIn(streams: Found['others']): ReadonlyMap<string, readonly number[]> {
  const tallies = [...streams].filter(([stream]) => stream.startsWith('tally/') || stream.startsWith('timed/'))
  return new Map(tallies.map(([stream, events]) => [stream, events.map(({ data }) => (data as { of: number }).of)]))
}

/** By stream, what its events have in their data. */
function dataIn(streams: Found['others']): ReadonlyMap<string, readonly unknown[]> {
  return new Map([...streams].map(([stream, events]) => [stream, events.map(({ data }) => data)]))
}

function recordIn(placement: StreamPlacement, shard: number): string {
  for (let salt = 0; ; salt += 1) {
    const name = `${CONSUMER}/reactor:${NAME}~${salt}`
    if (placement.shardOf(name) === shard) return name
  }
}

/** By half an hour. */
export function areClocksSet({ faults }: Pick<ReactorPlan, 'faults'>): boolean {
  return faults.some(({ kind }) => kind === 'set-clock')
}

function nameOf(stream: string, version: number): string {
  return `${stream}/${version}`
}
