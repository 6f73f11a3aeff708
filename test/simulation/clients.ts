/** People who ask the simulated bank until they are answered, each one thing after the other, at whatever node they find. */
import { deriveId, PenholdError, Rejected } from '../../src/index.ts'
import type { Kernel } from '../../src/testing/kernel.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import type { SimulatedNode } from '../../src/testing/simulated-node.ts'
import type { Account, View } from './bank.ts'
import type { Attempt, Outcome } from './history.ts'
import type { Operation } from './plan.ts'

/** Where they find nodes. */
export interface Town {
  readonly kernel: Kernel
  readonly random: SeededRandom
  /** A node that somebody might talk to. */
  pick(random: SeededRandom): SimulatedNode | undefined
}

export interface Errands {
  readonly operations: readonly Operation[]
  /** Whether clients name their commands, and so can ask again after a silence; if not, they let it be. */
  readonly namesCommands: boolean
}

const PATIENCE_MS = 4_000
const BACK_OFF_MS = 80

function eventsOf({ name }: Operation): number {
  if (name === 'transferIn') return 2
  return name === 'deposit' || name === 'withdraw' ? 1 : 0
}

function isRead({ name }: Operation): boolean {
  return name === 'view' || name === 'past'
}

export class Clients {
  readonly attempts: Attempt[] = []
  open = 0
  readonly #town: Town
  readonly #account: Account
  readonly #errands: Errands
  readonly #random: SeededRandom

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

  last(): string {
    const { outcome, stream } = this.attempts.at(-1) ?? {}
    return `${stream}: ${JSON.stringify(outcome)}`
  }

  async #live(operations: readonly number[]): Promise<void> {
    const { kernel } = this.#town
    for (const operation of operations) {
      const { thinkMs, burst = 1 } = this.#errands.operations[operation]!
      await kernel.sleep(thinkMs)
      const node = this.#town.pick(this.#random)
      const row = Array.from({ length: burst }, (_, nth) => this.#attempt(node, operation, { nth, isFirst: true }))
      for (const [nth, first] of row.entries()) {
        let isAnswered = await first
        while (!isAnswered) {
          await kernel.sleep(this.#random.below(BACK_OFF_MS))
          isAnswered = await this.#attempt(this.#town.pick(this.#random), operation, { nth, isFirst: false })
        }
      }
    }
    this.open -= 1
  }

  /** One attempt; resolves to whether it was answered. */
  async #attempt(
    node: SimulatedNode | undefined,
    operation: number,
    { nth, isFirst }: { readonly nth: number; readonly isFirst: boolean },
  ): Promise<boolean> {
    if (node === undefined) return false
    const { kernel } = this.#town
    const { namesCommands, operations } = this.#errands
    const attempt: Attempt = {
      by: operation + operations.length * (namesCommands ? nth : 1 + this.attempts.length),
      stream: `account/${operations[operation]!.account}`,
      isRead: isRead(operations[operation]!),
      events: eventsOf(operations[operation]!),
      ...(isFirst && { row: operation }),
      via: node,
      invokedAt: kernel.now,
      returnedAt: Number.POSITIVE_INFINITY,
      outcome: { kind: 'unknown', code: 'open' },
    }
    this.attempts.push(attempt)
    const outcome = await this.#outcome(node, operations[operation]!, attempt.by)
    kernel.note(`${operation} ${outcome.kind}`)
    attempt.outcome = outcome
    attempt.returnedAt = kernel.now
    return outcome.kind !== 'none' && (outcome.kind !== 'unknown' || (!namesCommands && !attempt.isRead))
  }

  /** The node's answer; `unknown` where it dies or says nothing for too long. */
  #outcome(node: SimulatedNode, operation: Operation, by: number): Promise<Outcome> {
    return new Promise((resolve) => {
      node.onDead(() => resolve({ kind: 'unknown', code: 'died' }))
      this.#town.kernel.after(PATIENCE_MS, () => resolve({ kind: 'unknown', code: 'silent' }))
      node.main.run(() => void this.#ask(node, operation, by).then(resolve))
    })
  }

  async #ask(node: SimulatedNode, { account, name, amount }: Operation, by: number): Promise<Outcome> {
    const ref = node.running.ref(this.#account, String(account))
    const options = this.#errands.namesCommands ? { commandId: deriveId('command', by) } : {}
    try {
      if (name === 'view') return { kind: 'read', seen: await ref.query('view') }
      if (name === 'past') return { kind: 'read', seen: await ref.state() }
      const { version, position } =
        name === 'look' ? await ref.ask('look', undefined, options) : await ref.ask(name, { amount, by }, options)
      return { kind: 'accepted', version, position }
    } catch (error) {
      if (error instanceof Rejected) return { kind: 'rejected', seen: error.details as View }
      if (!(error instanceof PenholdError)) throw error
      return { kind: error.outcome, code: error.code }
    }
  }
}
