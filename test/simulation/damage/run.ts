/** Runs a plan in which a log is harmed, turn by turn, and looks at it after each. */
import { encodeIdentity } from '../../../src/log/cluster-identity.ts'
import { CLUSTER_PATH } from '../../../src/log/path.ts'
import type { LogRecord } from '../../../src/log/record.ts'
import { putFile } from '../../log/small-log.ts'
import { createAccount, type Account } from '../bank.ts'
import { brokenCauses } from '../causes.ts'
import { Clients, type Town } from '../clients.ts'
import { brokenRules } from '../ground-truth.ts'
import type { Attempt } from '../history.ts'
import { streamOf } from '../plan.ts'
import { configOf, type Result, type RunOptions } from '../run.ts'
import { Harms } from './harms.ts'
import { House } from './house.ts'
import { Ledger } from './ledger.ts'
import { look, TYPE } from './look.ts'
import { repair } from './mending.ts'
import type { DamagePlan, Turn } from './plan.ts'
import { Reader } from './reader.ts'
import { acceptedOf, readWritten } from './written.ts'

/** Fewer than in other plans, so that what is harmed is more often of the same one. */
const SHARDS = 3
/** Without harm everything is answered within this time. */
const ANSWER_MS = 60_000
const SETTLE_MS = 10
const IDS = 1_000_000

export async function runDamage(plan: DamagePlan, { wrapStorage }: RunOptions = {}): Promise<Result> {
  const damaged = new DamagedRun(plan, wrapStorage ?? ((storage) => storage))
  const violations = await damaged.run()
  const { attempts, house } = damaged
  return {
    violations,
    trace: house.kernel.trace,
    attempts: attempts.length,
    acknowledged: attempts.filter(({ outcome }) => outcome.kind === 'accepted').length,
    simulatedMs: house.kernel.now,
  }
}

/** From the beginning, or an acceptance of losses, to the next. */
interface Era {
  readonly town: Town
  readonly clients: Clients[]
  readonly readers: readonly Reader[]
  isOver: boolean
}

class DamagedRun {
  readonly house: House
  readonly #plan: DamagePlan
  readonly #account: Account
  readonly #harms: Harms
  readonly #ledger = new Ledger()
  readonly #streams: readonly string[]
  /** What was attempted in former eras. */
  #former: Attempt[] = []
  #era: Era

  constructor(plan: DamagePlan, wrapStorage: NonNullable<RunOptions['wrapStorage']>) {
    this.#plan = plan
    this.#account = createAccount(plan.snapshotEvery)
    const config = { ...configOf(plan, this.#account), shards: SHARDS }
    this.house = new House({ seed: plan.seed, config, wrapStorage })
    const { name, shards } = config
    putFile(this.house.disk, CLUSTER_PATH, encodeIdentity({ format: 1, clusterId: 'simulated', name, shards }))
    this.#harms = new Harms(this.house.disk)
    this.#streams = [...new Set(plan.turns.flatMap(({ operations }) => operations.map(streamOf)))]
    this.#era = this.#beginEra()
  }

  get attempts(): Attempt[] {
    return [...this.#former, ...this.#now]
  }

  get #now(): Attempt[] {
    return this.#era.clients.flatMap(({ attempts }) => attempts)
  }

  async run(): Promise<string[]> {
    for (const [i, turn] of this.#plan.turns.entries()) {
      const problems = (await this.#live(turn, i)) ?? (await this.#harm(turn)) ?? (await this.#mend(turn))
      if (problems !== undefined) return problems.map((problem) => `turn ${i + 1}: ${problem}`)
    }
    return (await this.#end()).map((problem) => `in the end: ${problem}`)
  }

  async #live(turn: Turn, number: number): Promise<string[] | undefined> {
    const { house } = this
    const { kernel } = house
    const { operations, forMs, harmed, putBackAtMs, workerEndsAtMs } = turn
    const reason = await house.start()
    if (reason !== undefined && this.#harms.count === 0) return [`the node does not start: ${reason}`]
    const begin = kernel.now
    const { namesCommands } = this.#plan
    const clients = new Clients(this.#era.town, this.#account, { operations, namesCommands, idsFrom: number * IDS })
    this.#era.clients.push(clients)
    clients.start()
    const marks: { readonly atMs: number; readonly what: () => unknown }[] = [
      ...harmed.map(({ atMs, harm }) => ({ atMs, what: () => this.#harms.inflict(harm) })),
      ...(putBackAtMs === undefined ? [] : [{ atMs: putBackAtMs, what: () => this.#harms.putBack() }]),
      ...(workerEndsAtMs === undefined ? [] : [{ atMs: workerEndsAtMs, what: () => house.node?.killWorker(0) }]),
    ]
    for (const { atMs, what } of marks.toSorted((a, b) => a.atMs - b.atMs)) {
      if (atMs > forMs) continue
      await kernel.run({ untilMs: begin + atMs })
      await what()
    }
    await kernel.run({ untilMs: begin + forMs })
    if (turn.end === 'close' && !(await house.close())) return ['the node does not close']
    await this.#kill()
    if (turn.end === 'power-loss') house.disk.losePower(house.random)
    return undefined
  }

  async #harm({ harms }: Turn): Promise<string[] | undefined> {
    for (const harm of harms) await this.#harms.inflict(harm)
    const unharmed = this.#harms.unharmed()
    const { damage, records } = await readWritten(unharmed)
    if (damage.length > 0) return damage.map((problem) => `verify finds damage where nothing is harmed: ${problem}`)
    const problems = [
      ...this.#checkHeard(records),
      ...(await this.#look(records, new Set(), unharmed)),
      ...(this.#harms.count === 0 ? [] : await this.#look(records, await this.#harms.shardsConcerned(records))),
    ]
    return problems.length === 0 ? undefined : problems
  }

  async #mend({ mending, losesPower }: Turn): Promise<string[] | undefined> {
    const problems: string[] = []
    const { disk, random } = this.house
    switch (mending) {
      case 'none':
        return undefined
      case 'put-back':
        this.#harms.putBack()
        break
      case 'repair':
        await repair(disk, false)
        this.#harms.forgetMended()
        break
      case 'accept':
        problems.push(...(await this.#acceptLosses()))
    }
    if (losesPower) disk.losePower(random)
    const { damage, records } = await readWritten(this.#harms.unharmed())
    problems.push(...damage.map((problem) => `verify finds damage after ${mending}: ${problem}`))
    problems.push(...(await this.#look(records, await this.#harms.shardsConcerned(records))))
    return problems.length === 0 ? undefined : problems.map((problem) => `after ${mending}: ${problem}`)
  }

  async #acceptLosses(): Promise<string[]> {
    const { disk } = this.house
    const { records: before } = await readWritten(this.#harms.unharmed())
    const problems = this.#ledger.check(before, this.#now, this.#former)
    const left = await repair(disk, true)
    problems.push(...left.map((problem) => `repair leaves damage: ${problem}`))
    this.#harms.forget()
    const { records } = await readWritten(disk)
    problems.push(...this.#ledger.accept(before, records, await acceptedOf(disk, before)))
    this.#former = this.attempts
    this.#era.isOver = true
    for (const reader of this.#era.readers) reader.end()
    this.#era = this.#beginEra()
    return problems
  }

  /** All is put back, and everybody has an answer. */
  async #end(): Promise<string[]> {
    const { house } = this
    const { kernel } = house
    this.#harms.putBack()
    const reason = await house.start()
    if (reason !== undefined) return [`the node does not start: ${reason}`]
    const isAnswered = (): boolean => this.#era.clients.every(({ open }) => open === 0)
    // Where something of a stream is lost it goes on being refused.
    const forMs = this.#ledger.hasLosses ? 1_000 : ANSWER_MS
    await kernel.run({ untilMs: kernel.now + forMs, isDone: isAnswered })
    if (!this.#ledger.hasLosses && !isAnswered()) {
      const waiting = this.#era.clients.filter(({ open }) => open > 0).map((clients) => clients.last())
      return [`clients are never answered: ${waiting.join('; ')} (${house.warnings.slice(-3).join('; ')})`]
    }
    await this.#kill()
    const { damage, records } = await readWritten(house.disk)
    return [
      ...damage.map((problem) => `verify finds damage: ${problem}`),
      ...this.#ledger.check(records, this.#now, this.#former),
      ...this.#checkHeard(records),
      ...(await this.#look(records, new Set())),
      ...brokenCauses(this.attempts),
      ...brokenRules(house.warnings),
    ]
  }

  /** Calls that are inside the system when the node dies come to their end. */
  async #kill(): Promise<void> {
    const { kernel } = this.house
    this.house.kill()
    await kernel.run({ untilMs: kernel.now + SETTLE_MS })
  }

  async #look(
    records: readonly LogRecord[],
    refused: ReadonlySet<number> | 'any',
    disk = this.house.disk,
  ): Promise<string[]> {
    const shown = await look(this.house, disk, this.#streams)
    const as = refused === 'any' || refused.size > 0 ? 'what is harmed' : 'what is whole'
    if ('reason' in shown) return refused === 'any' ? [] : [`over ${as} no node starts: ${shown.reason}`]
    const problems = [...this.#ledger.checkLook(shown, records, refused), ...brokenRules(shown.warnings)]
    return problems.map((problem) => `of ${as}: ${problem}`)
  }

  #checkHeard(records: readonly LogRecord[]): string[] {
    const [all, ofType] = this.#era.readers as [Reader, Reader]
    return [
      ...this.#era.readers.flatMap(({ problems }) => problems),
      ...this.#ledger.checkHeard(all.heard, records),
      ...this.#ledger.checkHeard(ofType.heard, records, TYPE),
    ]
  }

  #beginEra(): Era {
    const { house } = this
    const era: Era = {
      town: { kernel: house.kernel, random: house.random, pick: () => (era.isOver ? undefined : house.node) },
      clients: [],
      readers: [new Reader(house), new Reader(house, TYPE)],
      isOver: false,
    }
    for (const reader of era.readers) void reader.live()
    return era
  }
}
