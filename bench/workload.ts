/**
 * W1, W2 and W3: bank accounts behind refs, a fixed number of commands in flight, each durable before its reply. The
 * bank remembers what was acknowledged, and afterwards asks the accounts of a restarted node whether they have it.
 */
import assert from 'node:assert/strict'
import { startNode, type Node } from '../src/index.ts'
import { Account } from './account.ts'
import { customersOf, drive, openAccounts, type Customer } from './customer.ts'
import { createRandom } from './random.ts'
import { collectGarbage, type Figures } from './sample.ts'

export interface Workload {
  readonly id: 'W1' | 'W2' | 'W3'
  readonly accounts: number
  readonly inFlight: number
}

export const WORKLOADS: readonly Workload[] = [
  { id: 'W1', accounts: 1_000, inFlight: 256 },
  { id: 'W2', accounts: 1, inFlight: 64 },
  { id: 'W3', accounts: 1_000, inFlight: 1 },
]

export class Bank {
  readonly #dataDir: string
  readonly #customers = new Map<Workload['id'], readonly Customer[]>()
  readonly #random = createRandom(1)
  #node: Node

  private constructor(dataDir: string, node: Node) {
    this.#dataDir = dataDir
    this.#node = node
  }

  static async open(dataDir: string): Promise<Bank> {
    return new Bank(dataDir, await startBank(dataDir))
  }

  /** Opens and funds a workload's accounts, warms up, and measures. */
  async run({ id, accounts, inFlight }: Workload, seconds: number, warmUpSeconds: number): Promise<Figures> {
    const customers = customersOf(this.#node, id, accounts)
    this.#customers.set(id, customers)
    await openAccounts(customers)
    await drive(customers, { inFlight, seconds: warmUpSeconds, random: this.#random })
    collectGarbage()
    return drive(customers, { inFlight, seconds, random: this.#random })
  }

  /** Restarts the node and compares every account with what was acknowledged. Resolves to the events that are there. */
  async verify(): Promise<number> {
    await this.#node.close()
    this.#node = await startBank(this.#dataDir)
    let events = 0
    for (const customer of [...this.#customers.values()].flat()) {
      const ref = this.#node.ref(Account, customer.id)
      // Opening an account twice changes nothing, and the reply says at which version it is.
      const { version } = await ref.ask('open', { owner: customer.id })
      const balance = await ref.query('balance')
      const acknowledged = { version: customer.version, balance: customer.balance }
      assert.deepEqual({ version, balance }, acknowledged, `account ${customer.id} is not what was acknowledged`)
      events += version
    }
    return events
  }

  close(): Promise<void> {
    return this.#node.close()
  }
}

function startBank(dataDir: string): Promise<Node> {
  return startNode(new URL('bank.config.ts', import.meta.url), { dataDir })
}
