/**
 * W1, W2 and W3: bank accounts behind refs, a fixed number of commands in flight, each durable before its reply. The
 * bank remembers what was acknowledged, and afterwards asks the accounts of a restarted node whether they have it.
 */
import assert from 'node:assert/strict'
import { Rejected, startNode, type Node, type Ref } from '../src/index.ts'
import { Account } from './account.ts'
import { createRandom } from './random.ts'
import { collectGarbage, Sample, type Figures } from './sample.ts'

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

/** So much that no withdrawal of a run is refused: every figure counts commands that write. */
const FUNDS = 100_000_000
const AMOUNT_MAX = 100

/** One account, and what its acknowledgements add up to. */
interface Customer {
  readonly id: string
  ref: Ref<typeof Account>
  version: number
  balance: number
}

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
  async run(workload: Workload, seconds: number, warmUpSeconds: number): Promise<Figures> {
    await this.#openAccounts(workload)
    await this.#drive(workload, warmUpSeconds)
    collectGarbage()
    return this.#drive(workload, seconds)
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

  async #openAccounts({ id: workload, accounts }: Workload): Promise<void> {
    const customers = Array.from({ length: accounts }, (_, i): Customer => {
      const id = `${workload}-${i}`
      return { id, ref: this.#node.ref(Account, id), version: 0, balance: 0 }
    })
    this.#customers.set(workload, customers)
    const open = async (customer: Customer): Promise<void> => {
      await customer.ref.ask('open', { owner: customer.id })
      await customer.ref.ask('deposit', { amount: FUNDS })
      customer.version = 2
      customer.balance = FUNDS
    }
    await Promise.all(customers.map(open))
  }

  /** A closed loop: as many senders as commands are to be in flight, each with one under way. */
  async #drive({ id, inFlight }: Workload, seconds: number): Promise<Figures> {
    const customers = this.#customers.get(id)!
    const times = new Sample()
    const startMs = performance.now()
    const endMs = startMs + seconds * 1_000
    const send = async (): Promise<void> => {
      let nowMs = performance.now()
      while (nowMs < endMs) {
        const sentMs = nowMs
        const isAccepted = await this.#move(customers[Math.floor(this.#random() * customers.length)]!)
        nowMs = performance.now()
        if (isAccepted) times.add(nowMs - sentMs)
      }
    }
    await Promise.all(Array.from({ length: inFlight }, send))
    const perSecond = times.count / ((performance.now() - startMs) / 1_000)
    return { perSecond, p50Ms: times.percentile(50), p99Ms: times.percentile(99) }
  }

  /** One deposit or withdrawal. Resolves to whether it was accepted. */
  async #move(customer: Customer): Promise<boolean> {
    const amount = 1 + Math.floor(this.#random() * AMOUNT_MAX)
    const isDeposit = this.#random() < 0.5
    try {
      await (isDeposit ? customer.ref.ask('deposit', { amount }) : customer.ref.ask('withdraw', { amount }))
    } catch (error) {
      if (error instanceof Rejected) return false
      throw error
    }
    customer.version += 1
    customer.balance += isDeposit ? amount : -amount
    return true
  }
}

function startBank(dataDir: string): Promise<Node> {
  return startNode(new URL('bank.config.ts', import.meta.url), { dataDir })
}
