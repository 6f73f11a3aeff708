/** SQLite by hand, a transaction a command: load the account from its last row, decide, append, commit, reply. */
import { decide, evolve, type AccountCommand } from '../bank-account.ts'
import type { Ledger } from '../ledger.ts'
import type { Outcome, Peer } from '../peer.ts'
import { EventTable } from './event-table.ts'

export function createPeer(): Peer {
  return new SqliteTransactionPeer()
}

class SqliteTransactionPeer implements Peer {
  readonly name = 'SQLite by hand, a transaction a command'
  #table!: EventTable

  async open(dir: string): Promise<string> {
    this.#table = new EventTable(dir)
    return this.#table.version
  }

  /** Ends before it returns: node:sqlite is synchronous, so that commands in flight together still run one by one. */
  async submit(accountId: string, command: AccountCommand): Promise<Outcome> {
    return this.#table.transaction(() => {
      const account = this.#table.load(accountId)
      const event = decide(account, command)
      if (!event) return 'rejected'
      const next = { ...evolve(account, event), version: account.version + 1 }
      this.#table.append({ accountId, account: next, event })
      return 'accepted'
    })
  }

  async verify(): Promise<Ledger> {
    return this.#table.ledger()
  }

  async close(): Promise<void> {
    this.#table.close()
  }
}
