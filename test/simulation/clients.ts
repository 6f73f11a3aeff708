/** People who ask the simulated bank until they are answered, each one thing after the other, at whatever node they find. */
import { deriveId, PenholdError, Rejected, type EventStore } from '../../src/index.ts'
import type { Kernel } from '../../src/testing/kernel.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import type { SimulatedNode } from '../../src/testing/simulated-node.ts'
import { after, NOTHING, type Account, type View } from './bank.ts'
import type { Attempt, Outcome } from './history.ts'
import { streamOf, type Operation } from './plan.ts'

/** Where they find nodes. */
export interface Town {
  readonly kernel: Kernel
  readonly random: SeededRandom
  /** A node that somebody might talk to; for those that cling to theirs also one that stands still. */
  pick(random: SeededRandom, how?: { readonly clings: boolean }): SimulatedNode | undefined
  /** Those that run, where there are several. */
  readonly nodes?: readonly SimulatedNode[]
}

export interface Errands {
  readonly operations: readonly Operation[]
  /** Whether clients name their commands, and so can ask again after a silence; if not, they let it be. */
  readonly namesCommands: boolean
  /** Those that do not name them wait for so long, and ask again by the id that they are told then. */
  readonly impatienceMs?: number
  /** Whether they go to nodes that stand still as well. */
  readonly clings?: boolean
  /** Where the numbers of their commands begin. Default 0. */
  readonly idsFrom?: number
  /** Told of each attempt when it has its outcome. */
  readonly onTold?: (attempt: Attempt) => void
}

/** From a node of an older release, which will not have it the next time either. */
const IN_VAIN = 'NotSupported'
const PATIENCE_MS = 4_000
const BACK_OFF_MS = 80
const MOMENT_MS = 0.001

function eventsOf({ name }: Operation): number {
  if (name === 'transferIn') return 2
  return name === 'deposit' || name === 'withdraw' ? 1 : 0
}

function isRead({ name, ledger }: Operation): boolean {
  return name === 'view' || name === 'past' || (name === 'look' && ledger !== undefined)
}

function viewOf({ account, isDirect = false, ledger }: Pick<Operation, 'account' | 'isDirect' | 'ledger'>): Operation {
  const view = { client: 0, account, name: 'view', amount: 0, thinkMs: 0, isDirect } as const
  return ledger === undefined ? view : { ...view, ledger }
}

const STREAM_EVENTS: Readonly<Partial<Record<Operation['name'], readonly string[]>>> = {
  deposit: ['Deposited'],
  transferIn: ['Deposited', 'Noted'],
  withdraw: ['Withdrawn'],
}

export class Clients {
  readonly attempts: Attempt[] = []
  open = 0
  /** By command, the id that its client was told. */
  readonly #ids = new Map<number, string>()
  readonly #town: Town
  readonly #account: Account
  readonly #errands: Errands
  readonly #random: SeededRandom
  #sent = 0

  constructor(town: Town, account: Account, errands: Errands) {
    this.#town = town
    this.#account = account
    this.#errands = errands
    this.#random = new SeededRandom(town.random.next())
  }

  start(): void {
    const clients = new Map<number, number[]>()
    for (const [i, { client }] of this.#errands.operations.entries()) {
      clients.set(client, [...(clients.get(client) ?? []), i])
    }
    this.open = clients.size
    for (const operations of clients.values()) void this.#live(operations)
  }

  /** What a node says of an account now. */
  probe(node: SimulatedNode, account: number): Promise<Outcome> {
    return this.#outcome(node, viewOf({ account }), { by: 0, sent: undefined })
  }

  last(): string {
    const { outcome, stream } = this.attempts.at(-1) ?? {}
    return `${stream}: ${JSON.stringify(outcome)}`
  }

  async #live(operations: readonly number[]): Promise<void> {
    const { kernel } = this.#town
    for (const operation of operations) {
      const { thinkMs, atMs = 0, burst = 1, gapMs = 0, isEchoed = false } = this.#errands.operations[operation]!
      await kernel.sleep(Math.max(thinkMs, atMs - kernel.now))
      const node = this.#pick()
      const row: Promise<boolean>[] = []
      for (let nth = 0; nth < burst; nth += 1) {
        if (nth > 0 && gapMs > 0) await kernel.sleep(gapMs)
        row.push(this.#attempt(node, operation, nth))
      }
      for (const [nth, first] of row.entries()) {
        let isAnswered = await first
        while (!isAnswered) {
          await kernel.sleep(this.#random.below(BACK_OFF_MS))
          isAnswered = await this.#attempt(this.#pick(), operation, nth)
        }
      }
      if (isEchoed) await this.#echo(operation)
    }
    this.open -= 1
  }

  #pick(): SimulatedNode | undefined {
    return this.#town.pick(this.#random, { clings: this.#errands.clings ?? false })
  }

  /** Every node must show what has been told. */
  async #echo(operation: number): Promise<void> {
    const of = this.#errands.operations[operation]!
    // Of what happens at one moment nothing is before anything else.
    await this.#town.kernel.sleep(MOMENT_MS)
    const views = this.#town.nodes?.map((node) => this.#try(node, viewOf(of), -1 - this.attempts.length)) ?? []
    await Promise.all(views)
  }

  /** One attempt; resolves to whether it was answered. */
  async #attempt(node: SimulatedNode | undefined, at: number, nth: number): Promise<boolean> {
    const { namesCommands, operations, idsFrom = 0 } = this.#errands
    const isNamed = namesCommands || this.#errands.impatienceMs !== undefined
    const by = idsFrom + at + operations.length * (isNamed ? nth : 1 + this.attempts.length)
    const attempt = await this.#try(node, operations[at]!, by)
    if (attempt?.outcome.kind === 'none') return attempt.outcome.code === IN_VAIN
    if (attempt === undefined) return false
    return attempt.outcome.kind !== 'unknown' || (!namesCommands && !attempt.isRead && !this.#ids.has(by))
  }

  /** Undefined where there is no node. */
  async #try(node: SimulatedNode | undefined, operation: Operation, by: number): Promise<Attempt | undefined> {
    if (node === undefined || node.isDead) return undefined
    const { kernel } = this.#town
    const attempt: Attempt = {
      by,
      stream: streamOf(operation),
      isRead: isRead(operation),
      isQueued: operation.name !== 'past' && !(operation.isDirect === true && isRead(operation)),
      events: eventsOf(operation),
      via: node,
      sent: undefined,
      invokedAt: kernel.now,
      returnedAt: Number.POSITIVE_INFINITY,
      outcome: { kind: 'unknown', code: 'open' },
    }
    this.attempts.push(attempt)
    attempt.outcome = await this.#outcome(node, operation, attempt)
    attempt.returnedAt = kernel.now
    kernel.note(`${by} ${attempt.outcome.kind}`)
    this.#errands.onTold?.(attempt)
    return attempt
  }

  /** The node's answer; `unknown` where it dies or says nothing for too long. */
  #outcome(node: SimulatedNode, operation: Operation, attempt: Pick<Attempt, 'by' | 'sent'>): Promise<Outcome> {
    return new Promise((resolve) => {
      node.onDead(() => resolve({ kind: 'unknown', code: 'died' }))
      this.#town.kernel.after(PATIENCE_MS, () => resolve({ kind: 'unknown', code: 'silent' }))
      node.main.run(() => {
        attempt.sent = this.#sent += 1
        void this.#ask(node, operation, attempt.by).then(resolve)
      })
    })
  }

  async #ask(node: SimulatedNode, operation: Operation, by: number): Promise<Outcome> {
    const { account, name, amount, isDirect = false } = operation
    const ref = node.running.ref(this.#account, String(account))
    const options = this.#optionsOf(by)
    try {
      if (isDirect) return await this.#askStore(node.running.store, operation, { ...options, by })
      if (name === 'view') return { kind: 'read', seen: await ref.query('view') }
      if (name === 'past') return { kind: 'read', seen: await ref.state() }
      const { version, position, unsettled } =
        name === 'look' ? await ref.ask('look', undefined, options) : await ref.ask(name, { amount, by }, options)
      return { kind: 'accepted', version, position, isSettled: unsettled === undefined }
    } catch (error) {
      if (error instanceof Rejected) return { kind: 'rejected', seen: error.details as View }
      if (!(error instanceof PenholdError)) throw error
      const { commandId } = (error.details ?? {}) as { readonly commandId?: string }
      if (this.#errands.impatienceMs !== undefined && commandId !== undefined) this.#ids.set(by, commandId)
      return { kind: error.outcome, code: error.code }
    }
  }

  #optionsOf(by: number): { readonly commandId?: string; readonly timeoutMs?: number } {
    const { namesCommands, impatienceMs } = this.#errands
    if (namesCommands) return { commandId: deriveId('command', by) }
    const commandId = this.#ids.get(by)
    if (commandId !== undefined) return { commandId }
    return impatienceMs === undefined ? {} : { timeoutMs: impatienceMs }
  }

  /** The same by the stream's name: what is wanted is appended, and what it shows is folded here. */
  async #askStore(
    store: EventStore,
    operation: Operation,
    { by, ...options }: { readonly by: number; readonly commandId?: string; readonly timeoutMs?: number },
  ): Promise<Outcome> {
    const { name, amount } = operation
    const types = STREAM_EVENTS[name]
    const stream = streamOf(operation)
    if (types !== undefined) {
      const events = types.map((type) => ({ type, data: type === 'Noted' ? { by } : { amount, by } }))
      const { version, position } = await store.append(stream, events, options)
      return { kind: 'accepted', version, position, isSettled: false }
    }
    const backwards = name === 'past'
    const read = await Array.fromAsync(store.load(stream, { backwards }))
    const events = backwards ? read.toReversed() : read
    return { kind: 'read', seen: events.reduce<View>((view, { type, data }) => after(view, type, data), NOTHING) }
  }
}
