/**
 * A run of one scenario: what all of them share. Starts nodes, lets the bank's clients work on them, and holds the
 * history against the log every few cycles. Each round has accounts of its own, so that its history can be forgotten when
 * it was checked; of the rounds before it is checked that they have stayed what they were.
 */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Overrides } from '../../src/index.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { check, checkShards } from '../checker/check.ts'
import { checkSenders } from '../checker/check-senders.ts'
import type { Entry, LoggedEvent } from '../checker/history.ts'
import type { PostgresProcess } from '../postgres-server.ts'
import type { RedisProcess } from '../redis-server.ts'
import { Bank } from './bank.ts'
import { Cleanup, makeFolder } from './cleanup.ts'
import { Figures } from './figures.ts'
import { Followers } from './followers.ts'
import { readLog } from './log-reader.ts'
import { NodeProcess, type NodeSurroundings } from './node.ts'
import { Clocks } from './reactions/clocks.ts'
import { Reactions } from './reactions/reactions.ts'
import { ReadModels } from './read-models.ts'

export interface ChaosOptions {
  readonly cycles: number
  /** No cycle begins after so many. */
  readonly minutes?: number | undefined
  readonly seed: number
  /** Commands that the clients send in a second, all together; as many as are answered where it is not given. */
  readonly rate?: number | undefined
  /** Faults are of the kind of this name alone, or of those that have it in their names, where the scenario has several. */
  readonly only?: string | undefined
  /** A rule of the code that the nodes are to break. */
  readonly mutant?: string | undefined
  /** Where there is a PostgreSQL for them, cluster's nodes run projections. Default true. */
  readonly projects?: boolean
  /** Cluster's nodes run reactors, a process, an outbox and an inbox. Default true. */
  readonly reacts?: boolean
  readonly signal: AbortSignal
  readonly onCycle: (chaos: Chaos) => void
}

const CYCLES_PER_CHECK = 25
/** Commands in a second while read models come to where the log is. */
const CALM_RATE = 20
/** So long all goes on, at most, between what was settled and the end of all nodes. */
const BUSY_MS = 500
const OPEN_MS_MAX = 120_000
const VIOLATIONS_SHOWN = 20

export class Chaos {
  cycles: number
  readonly random: SeededRandom
  readonly folder: string
  readonly cleanup: Cleanup
  readonly figures: Figures = new Figures()
  readonly bank: Bank
  readonly clocks: Clocks = new Clocks()
  readonly #options: ChaosOptions
  /** Who reads everything meanwhile, in scenarios that have them. */
  #followers: Followers | undefined
  /** The nodes' read models, where they have some. */
  #readModels: ReadModels | undefined
  /** What the nodes react to, where they do. */
  #reactions: Reactions | undefined
  /** Ends what goes on beside the run, with it. */
  readonly #over: AbortSignal
  readonly #endsAt: number
  readonly #nodes = new Set<NodeProcess>()
  /** By data directory and account: the last event at the check of the account's round. */
  readonly #settled = new Map<string, Map<string, LoggedEvent | undefined>>()

  constructor(options: ChaosOptions, cleanup: Cleanup) {
    this.#options = options
    this.cycles = options.cycles
    this.#endsAt = performance.now() + (options.minutes ?? Number.POSITIVE_INFINITY) * 60_000
    this.random = new SeededRandom(options.seed)
    this.cleanup = cleanup
    const over = new AbortController()
    cleanup.add(() => over.abort())
    this.#over = AbortSignal.any([options.signal, over.signal])
    this.folder = makeFolder(cleanup)
    this.bank = new Bank(this.random.next(), this.figures)
    this.bank.rate = options.rate ?? Number.POSITIVE_INFINITY
  }

  get projects(): boolean {
    return this.#options.projects ?? true
  }

  get reacts(): boolean {
    return this.#options.reacts ?? true
  }

  get reactions(): Reactions | undefined {
    return this.#reactions
  }

  /** How far the run has come, from 0 to 1. */
  get share(): number {
    const { minutes } = this.#options
    const ofCycles = this.figures.cycles / this.cycles
    if (minutes === undefined || ofCycles >= 1) return ofCycles
    return Math.min(1, Math.max(ofCycles, 1 - (this.#endsAt - performance.now()) / (minutes * 60_000)))
  }

  /** Starts a node's process, which opens nothing yet. */
  boot({ environment = {}, prefix = [] }: NodeSurroundings = {}): NodeProcess {
    const { signal: stopping, mutant } = this.#options
    stopping.throwIfAborted()
    const broken = mutant === undefined ? {} : { PENHOLD_CHAOS_MUTANT: mutant }
    const node = new NodeProcess({ prefix, environment: { ...environment, ...broken } })
    this.#nodes.add(node)
    const undo = (): void => void process.kill(node.pid, 'SIGKILL')
    this.cleanup.add(undo)
    void node.ended.then(({ code, signal, stderr, warnings }) => {
      this.#nodes.delete(node)
      this.cleanup.forget(undo)
      if (node.isExpectedToEnd || stopping.aborted) return
      const last = [node.refusal ?? '', stderr.trim(), ...warnings.slice(-3)].filter((text) => text !== '')
      this.violated(`a node ended by itself (${signal ?? code}): ${last.join(' | ')}`)
    })
    return node
  }

  /** Starts a node, and clients on it: they may ask before it serves. */
  start(dataDir: string, overrides: Overrides = {}): NodeProcess {
    const node = this.boot()
    this.open(node, dataDir, overrides)
    return node
  }

  open(node: NodeProcess, dataDir: string, overrides: Overrides = {}): void {
    node.open({ dataDir, ...overrides })
    void node.opened.then((ms) => ms !== undefined && this.figures.openMs.push(ms))
    this.bank.serve(node)
  }

  /** Waits until the node serves. One that does not, and was not kept from it, is a violation. */
  async untilOpen(node: NodeProcess): Promise<boolean> {
    const ms = await Promise.race([node.opened, this.late(OPEN_MS_MAX)])
    if (ms === 'late') this.violated(`a node did not serve within ${OPEN_MS_MAX} ms`)
    // Even the shortest run has something to lose.
    if (typeof ms === 'number') await this.until(() => this.figures.acknowledged > 0, OPEN_MS_MAX)
    return typeof ms === 'number'
  }

  /** From here on some read everything, wherever somebody serves. */
  follow(): void {
    this.#followers = new Followers(this.#options.seed, () => this.bank.serving, this.#over)
  }

  /** From here on the nodes' projections are looked after, asked, and held against the log. */
  project(server: PostgresProcess): void {
    this.#readModels = new ReadModels({
      seed: this.#options.seed,
      server,
      signal: this.#over,
      serving: () => this.bank.serving,
      onViolation: (problem) => this.violated(problem),
    })
    this.figures.readModels = this.#readModels.figures
    this.bank.acknowledged = (command) => this.#readModels?.told(command)
  }

  /** From here on nodes are given orders, and what they react to is held against the log. */
  react(broker: RedisProcess): void {
    const { bank, clocks } = this
    this.#reactions = new Reactions({
      seed: this.#options.seed,
      broker,
      bank,
      clocks,
      signal: this.#over,
      onViolation: (problem) => this.violated(problem),
    })
    this.figures.reactions = this.#reactions.figures
  }

  /** Those of these kinds that the run is to have. @throws Error where there are none */
  chosen<Item extends { readonly kind: string }>(items: readonly Item[]): readonly Item[] {
    const { only = '' } = this.#options
    const named = items.filter(({ kind }) => kind === only)
    const chosen = named.length > 0 ? named : items.filter(({ kind }) => kind.includes(only))
    if (chosen.length > 0) return chosen
    throw new Error(`no kind of fault has '${only}' in its name: ${items.map(({ kind }) => kind).join(', ')}`)
  }

  /** The same ones in another order. */
  shuffled<Item>(items: readonly Item[]): Item[] {
    const mixed = [...items]
    for (let i = mixed.length - 1; i > 0; i -= 1) {
      const j = this.random.below(i + 1)
      ;[mixed[i], mixed[j]] = [mixed[j]!, mixed[i]!]
    }
    return mixed
  }

  /** Some time, at random. */
  async wait(msMin: number, msMax: number): Promise<void> {
    await delay(msMin + this.random.below(Math.max(1, msMax - msMin)), undefined, { signal: this.#options.signal })
  }

  /** Waits until something is so; for what comes by itself. Resolves to whether it came within the time. */
  async until(isSo: () => boolean | Promise<boolean>, msMax: number): Promise<boolean> {
    const end = performance.now() + msMax
    while (!(await isSo())) {
      if (performance.now() > end) return false
      await delay(10, undefined, { signal: this.#options.signal })
    }
    return true
  }

  /** For what should have come by then. Rejects where the run is stopped. */
  late(ms: number): Promise<'late'> {
    return delay(ms, 'late', { ref: false, signal: this.#options.signal })
  }

  /** What this machine does not allow, so that the run goes without it: it is told at once and with the figures. */
  leaveOut(what: string): void {
    this.figures.leftOut.push(what)
    process.stderr.write(`left out: ${what}\n`)
  }

  /** Something that must not be: it is told at once and with the figures. */
  violated(message: string): void {
    process.stderr.write(`✗ ${message}\n`)
    this.figures.violations.push(message)
  }

  /** How many cycles there are to be, where that was not known before. */
  plan(cycles: number): void {
    this.cycles = cycles
  }

  /** Ends a cycle, and a round where it is time for that. Resolves to whether the nodes were ended for a check. */
  async turn(dataDir: string, cyclesPerCheck: number = CYCLES_PER_CHECK): Promise<boolean> {
    const cycle = this.figures.cycles + 1
    if (performance.now() > this.#endsAt) this.cycles = Math.min(this.cycles, cycle)
    const isLast = cycle === this.cycles
    const isChecked = isLast || cycle % cyclesPerCheck === 0
    if (isChecked) await this.check(dataDir)
    if (isChecked && !isLast) void this.bank.begin()
    this.cycleDone()
    return isChecked
  }

  cycleDone(): void {
    this.figures.cycles += 1
    this.#options.onCycle(this)
    this.#options.signal.throwIfAborted()
  }

  /** Copies a directory that nobody works in, with what is known to be in it from a check of `checked`. */
  copy({ from, checked, to }: { readonly from: string; readonly checked: string; readonly to: string }): void {
    fs.rmSync(to, { recursive: true, force: true })
    fs.cpSync(from, to, { recursive: true })
    this.#settled.set(to, new Map(this.#settled.get(checked)))
  }

  /** Ends all nodes and the round, reads the log in a fresh process, and holds the round's history against it. */
  async check(dataDir: string, what = ''): Promise<void> {
    await this.#settleReadModels()
    await this.#settleReactions()
    await Promise.all([...this.#nodes].map((node) => node.kill()))
    await this.bank.stop()
    const { history, accounts } = this.bank
    const settled = this.#settled.get(dataDir) ?? new Map<string, LoggedEvent | undefined>()
    this.#settled.set(dataDir, settled)
    const invokedAt = performance.now()
    const dropsIndexes = this.random.chance(0.5)
    const hasReactions = this.#reactions !== undefined
    const found = await readLog({ dataDir, accounts: [...accounts, ...settled.keys()], hasReactions, dropsIndexes })
    const returnedAt = performance.now()
    const log = new Map(found.events)
    const shown = found.shown.map(([stream, seen]): Entry => ({ kind: 'read', stream, invokedAt, returnedAt, seen }))
    const ofRound = new Map([...log].filter(([stream]) => !settled.has(accountOf(stream))))
    const entries = [...history, ...shown.filter(({ stream }) => ofRound.has(stream))]
    const all = new Map([...log, ...found.others])
    const violations = [...check(entries, ofRound), ...checkSenders(history), ...checkShards(all)]
    const problems = [
      ...found.problems,
      ...changed(settled, log),
      ...(this.#followers?.problems(all) ?? []),
      ...((await this.#readModels?.problems(log)) ?? []),
      ...((await this.#reactions?.problems(all)) ?? []),
      ...violations.map(({ kind, stream, message }) => `${kind} ${stream}: ${message}`),
    ].map((problem) => (what === '' ? problem : `${what}: ${problem}`))
    for (const account of accounts) settled.set(account, log.get(`account/${account}`)?.at(-1))
    for (const events of ofRound.values()) this.figures.events += events.length
    this.figures.checks += 1
    this.figures.heard = this.#followers?.events ?? 0
    this.#readModels?.goOn()
    if (problems.length > 0) this.#keepEvidence(dataDir, problems, entries)
  }

  /** Lets them come to where the log is, while clients leave them the machine. */
  async #settleReadModels(): Promise<void> {
    const { rate } = this.bank
    this.bank.rate = Math.min(rate, CALM_RATE)
    await this.#readModels?.settle()
    this.bank.rate = rate
  }

  /** Where nodes react, all of that comes to an end; and all are killed with something under way again. */
  async #settleReactions(): Promise<void> {
    if (this.#reactions === undefined) return
    await this.#reactions.settle()
    await this.wait(0, BUSY_MS)
  }

  #keepEvidence(dataDir: string, problems: readonly string[], history: readonly Entry[]): void {
    const folder = fs.mkdtempSync(join(tmpdir(), 'penhold-violation-'))
    fs.cpSync(dataDir, join(folder, 'data'), { recursive: true })
    fs.writeFileSync(join(folder, 'history.json'), JSON.stringify(history, undefined, 1))
    fs.writeFileSync(join(folder, 'violations.txt'), problems.join('\n'))
    for (const problem of problems.slice(0, VIOLATIONS_SHOWN)) this.violated(problem)
    this.violated(`${problems.length} in this check; the log and the history are kept in ${folder}`)
  }
}

function accountOf(stream: string): string {
  return stream.slice(stream.indexOf('/') + 1)
}

/** What the log had of a round at its check it has for ever. */
function changed(
  settled: ReadonlyMap<string, LoggedEvent | undefined>,
  log: ReadonlyMap<string, readonly LoggedEvent[]>,
): string[] {
  return [...settled].flatMap(([account, then]) => {
    const now = log.get(`account/${account}`)?.at(-1)
    if (now?.version === then?.version && now?.digest === then?.digest) return []
    return [`changed account/${account}: it ended at version ${then?.version} and ends at ${now?.version} now`]
  })
}
