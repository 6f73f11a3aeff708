/**
 * SQLite by hand, up to 100 commands a transaction, with the accounts in memory. Commands that arrive in one turn of the
 * event loop wait for the next, which decides and appends them together; their replies follow the one commit.
 */
import { decide, evolve, type AccountCommand } from '../bank-account.ts'
import type { Ledger } from '../ledger.ts'
import type { Outcome, Peer } from '../peer.ts'
import { EventTable, type StoredAccount } from './event-table.ts'

const batchCommandsMax = 100

export function createPeer(): Peer {
  return new SqliteBatchPeer()
}

type Waiting = { readonly accountId: string; readonly command: AccountCommand } & PromiseWithResolvers<Outcome>

class SqliteBatchPeer implements Peer {
  readonly name = 'SQLite by hand, up to 100 commands a transaction'
  readonly #accounts = new Map<string, StoredAccount>()
  #table!: EventTable
  #waiting: Waiting[] = []

  async open(dir: string): Promise<string> {
    this.#table = new EventTable(dir)
    return this.#table.version
  }

  submit(accountId: string, command: AccountCommand): Promise<Outcome> {
    const waiting = { accountId, command, ...Promise.withResolvers<Outcome>() }
    if (this.#waiting.push(waiting) === 1) setImmediate(() => this.#runBatch())
    return waiting.promise
  }

  async verify(): Promise<Ledger> {
    return this.#table.ledger()
  }

  async close(): Promise<void> {
    this.#table.close()
    this.#accounts.clear()
  }

  #runBatch(): void {
    const batch = this.#waiting.slice(0, batchCommandsMax)
    this.#waiting = this.#waiting.slice(batchCommandsMax)
    if (this.#waiting.length > 0) setImmediate(() => this.#runBatch())
    try {
      const outcomes = this.#table.transaction(() => batch.map((waiting) => this.#run(waiting)))
      batch.forEach(({ resolve }, index) => resolve(outcomes[index] as Outcome))
    } catch (failure) {
      // The accounts may be ahead of what was rolled back; the next command loads its account from the table.
      this.#accounts.clear()
      for (const { reject } of batch) reject(failure)
    }
  }

  #run({ accountId, command }: Waiting): Outcome {
    const account = this.#accounts.get(accountId) ?? this.#table.load(accountId)
    const event = decide(account, command)
    if (!event) return 'rejected'
    const next = { ...evolve(account, event), version: account.version + 1 }
    this.#table.append({ accountId, account: next, event })
    this.#accounts.set(accountId, next)
    return 'accepted'
  }
}
