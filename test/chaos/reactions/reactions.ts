/**
 * What the nodes of the tormented bank react to: somebody gives them orders, an operator has tried again what is parked, and when
 * all nodes have ended what follows from accounts is held against the log, and against what was published (check.ts).
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { CloudEvent } from '../../../src/index.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import type { RedisProcess } from '../../redis-server.ts'
import type { Bank } from '../bank.ts'
import { spread, type Spread } from '../figures.ts'
import type { Impact } from '../impact.ts'
import type { NodeProcess } from '../node.ts'
import type { ReactionCall } from './at-node.ts'
import { checkReactions, type Published, type ReactionCounts } from './check.ts'
import type { Clocks } from './clocks.ts'
import { NEWS, ORDERS } from './consequences.ts'
import type { Fact } from './facts.ts'
import { BOXES } from './kinds.ts'

/** What a run's reactions have come to by the last check. */
export interface ReactionFigures extends Partial<ReactionCounts> {
  /** So often what was parked was tried again. */
  retried: number
  /** From an event to the note of it, where it came while a fault lasted, or was recovered from, and clocks agreed. */
  consequenceMs: Spread
  /** So long the nodes took to have all done, with nobody asking for more. */
  settleMs: Spread
}

export interface ReactionsOptions {
  readonly seed: number
  readonly broker: RedisProcess
  readonly bank: Bank
  readonly clocks: Clocks
  readonly signal: AbortSignal
  readonly onViolation: (problem: string) => void
}

/** While a fault lasts, and until all is well. */
interface Span {
  readonly from: number
  readonly to: number
  readonly impact: Impact
}

const ORDER_MS_MAX = 1_000
const RETRY_MS_MAX = 3_000
const SETTLE_MS = 120_000
const LOOK_MS = 200
const LEVEL_LOOKS = 2
const ALL = Number.MAX_SAFE_INTEGER
/** A node that is stopped says nothing for a while. */
const CALL_MS = 20_000
const SHOWN = 5
const ENTRIES_AT_ONCE = 1_000

export class Reactions {
  readonly figures: ReactionFigures = { retried: 0, consequenceMs: spread([]), settleMs: spread([]) }
  readonly #options: ReactionsOptions
  readonly #random: SeededRandom
  /** By box, the orders that were given. */
  readonly #given: number[][] = Array.from({ length: BOXES }, () => [])
  #orders = 0
  /** By account, up to which version all had followed when it was settled, and how far clocks were apart until then. */
  readonly #settled = new Map<string, { readonly version: number; readonly apartMs: number }>()
  /** The same by box. */
  #settledOrders: readonly number[] = this.#given.map(() => 0)
  /** The same of the schedule's runs, and how far clocks were ever apart. */
  #ticks = { settled: 0, apartMs: 0 }
  readonly #news: Published[] = []
  #lastEntry = '-'
  #isResting = false
  #ordering: Promise<unknown> = Promise.resolve()
  #retrying: Promise<unknown> = Promise.resolve()
  readonly #settleMs: number[] = []
  readonly #lagsMs: number[] = []
  #spans: Span[] = []

  constructor(options: ReactionsOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed)
    void this.#repeat(ORDER_MS_MAX, () => (this.#ordering = this.#order()))
    void this.#repeat(RETRY_MS_MAX, () => (this.#retrying = this.#retryParked()))
  }

  /** From now on until what is returned is called: what follows from events of that time is said of this kind of fault. */
  watch(): (impact: Impact) => void {
    const from = Date.now()
    return (impact) => void this.#spans.push({ from, to: Date.now(), impact })
  }

  /** Nobody asks for anything while all nodes come to an end with what follows from what was asked. Then it goes on. */
  async settle(): Promise<void> {
    const { bank, clocks, onViolation } = this.#options
    this.#isResting = true
    await Promise.all([bank.pause(), this.#ordering, this.#retrying])
    clocks.level(bank.serving)
    const accounts = [...new Set([...this.#unsettled(), ...bank.accounts])]
    const problem = await this.#untilSettled(accounts)
    if (problem !== undefined) onViolation(problem)
    await this.#noteSettled(accounts)
    this.#isResting = false
    bank.goOn()
  }

  /** What is wrong, now that no node runs. `log`: all that follows from accounts, too. */
  async problems(log: ReadonlyMap<string, readonly Fact[]>): Promise<readonly string[]> {
    await this.#readNews()
    const orders = this.#given.map((given, box) => ({ given, settled: this.#settledOrders[box]! }))
    const { problems, counts } = checkReactions({
      log,
      settled: this.#settled,
      news: this.#news,
      orders,
      ticks: this.#ticks,
    })
    this.#measure(log)
    this.#spans = []
    const [consequenceMs, settleMs] = [spread(this.#lagsMs), spread(this.#settleMs)]
    Object.assign(this.figures, counts, { consequenceMs, settleMs })
    this.#options.clocks.reset()
    return problems
  }

  /** Those of which something may have been under way when all nodes were killed. */
  #unsettled(): string[] {
    return [...this.#settled].filter(([, { version }]) => version !== ALL).map(([account]) => account)
  }

  /** Resolves to what is not done, where that goes on for too long. */
  async #untilSettled(accounts: readonly string[]): Promise<string | undefined> {
    const { signal } = this.#options
    const startedAt = performance.now()
    let level = 0
    for (;;) {
      const left = await this.#left(accounts)
      level = left.length === 0 ? level + 1 : 0
      const ms = performance.now() - startedAt
      // What one node has just done another may be about to hear of.
      if (level === LEVEL_LOOKS) {
        this.#settleMs.push(ms)
        return undefined
      }
      if (ms > SETTLE_MS) return `reactions do not settle within ${SETTLE_MS} ms: ${left.slice(0, SHOWN).join('; ')}`
      await delay(LOOK_MS, undefined, { signal })
    }
  }

  async #left(accounts: readonly string[]): Promise<readonly string[]> {
    const nodes = this.#options.bank.serving
    await this.#retryParked()
    const underWay = await Promise.all(nodes.map((node) => this.#call(node, { kind: 'underWay' })))
    const one = this.#one(nodes)
    const outstanding = one && (await this.#call(one, { kind: 'outstanding', accounts, orders: this.#orders }))
    return [...underWay, outstanding].flatMap(
      (told) => (told as readonly string[] | undefined) ?? 'a node says nothing',
    )
  }

  async #noteSettled(accounts: readonly string[]): Promise<void> {
    const { bank, clocks } = this.#options
    const current = bank.accounts
    const one = this.#one(bank.serving)
    const told = one && (await this.#call(one, { kind: 'versions', accounts: current }))
    const versions = told as readonly number[] | undefined
    for (const account of accounts) {
      const { apartMs = 0 } = this.#settled.get(account) ?? {}
      const at = current.indexOf(account)
      // Nobody asks anything of those of earlier rounds.
      const version = at < 0 ? ALL : (versions?.[at] ?? 0)
      this.#settled.set(account, { version, apartMs: Math.max(apartMs, clocks.apartMs) })
    }
    this.#settledOrders = this.#given.map((given) => given.at(-1) ?? 0)
    const ticked = one && (await this.#call(one, { kind: 'ticked' }))
    const { settled, apartMs } = this.#ticks
    this.#ticks = { settled: Number(ticked ?? settled), apartMs: Math.max(apartMs, clocks.apartMs) }
  }

  #measure(log: ReadonlyMap<string, readonly Fact[]>): void {
    const lags = lagsOf(log, [...this.#settled.keys()])
    for (const { from, to, impact } of this.#spans) {
      if (to > this.#options.clocks.agreedUntil) continue
      const during = lags.filter(({ at }) => at >= from && at <= to).map(({ ms }) => ms)
      if (during.length === 0) continue
      impact.consequenceMs.push(Math.max(...during))
      this.#lagsMs.push(...during)
    }
  }

  async #order(): Promise<void> {
    const [n, box] = [this.#orders + 1, this.#random.below(BOXES)]
    try {
      await this.#options.broker.admin.xadd(ORDERS, '*', 'box', box, 'n', n)
    } catch {
      // It is stopped for a while at most, and waited for: that it has ended says that the run has.
      return
    }
    this.#orders = n
    this.#given[box]!.push(n)
  }

  /** By whichever node. */
  async #retryParked(): Promise<void> {
    const node = this.#one(this.#options.bank.serving)
    const retried = node && (await this.#call(node, { kind: 'retryParked' }))
    this.figures.retried += Number(retried ?? 0)
  }

  /** What was published since it was read last. */
  async #readNews(): Promise<void> {
    const { admin } = this.#options.broker
    for (;;) {
      const entries = await admin.xrange(NEWS, this.#lastEntry, '+', 'COUNT', ENTRIES_AT_ONCE)
      for (const [entry, fields] of entries) {
        this.#lastEntry = `(${entry}`
        this.#news.push(toPublished(fields))
      }
      if (entries.length < ENTRIES_AT_ONCE) return
    }
  }

  /** Undefined where the node ends, or says that it cannot be done. */
  async #call(node: NodeProcess, call: ReactionCall): Promise<unknown> {
    const answer = await Promise.race([node.call(call), delay(CALL_MS, undefined, { ref: false })])
    return answer?.kind === 'answered' ? answer.value : undefined
  }

  #one(nodes: readonly NodeProcess[]): NodeProcess | undefined {
    return nodes[this.#random.below(Math.max(1, nodes.length))]
  }

  async #repeat(msMax: number, deed: () => Promise<unknown>): Promise<void> {
    const { signal } = this.#options
    for (;;) {
      await delay(this.#random.below(msMax), undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      if (!this.#isResting) await deed()
    }
  }
}

function toPublished(fields: readonly string[]): Published {
  const event = JSON.parse(fields[fields.indexOf('event') + 1]!) as CloudEvent
  const { id, stream, version, position, causationid } = event
  return { id, stream, version: Number(version), position: Number(position), causationId: causationid }
}

/** When each event happened that was noted, and how long it took to be. */
function lagsOf(
  log: ReadonlyMap<string, readonly Fact[]>,
  accounts: readonly string[],
): readonly { readonly at: number; readonly ms: number }[] {
  return accounts.flatMap((account) => {
    const events = log.get(`account/${account}`) ?? []
    return (log.get(`tally/notes-${account}`) ?? []).flatMap(({ time, data }) => {
      const event = events[(data as { readonly of: number }).of - 1]
      return event === undefined ? [] : [{ at: event.time, ms: time - event.time }]
    })
  })
}
