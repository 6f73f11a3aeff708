/**
 * What a peer has to do to be measured. A peer owns its store and everything it starts; the workload owns the commands,
 * the clock and the judgement whether the store is right.
 */
import type { AccountCommand } from './bank-account.ts'
import type { Ledger } from './ledger.ts'

export type Outcome = 'accepted' | 'rejected'

export interface Peer {
  readonly name: string

  /** Makes an empty store in this folder, which exists. Resolves to the versions of what was opened. */
  open(dir: string): Promise<string>

  /**
   * Decides the command on the account's state. Resolves once the event, or whatever a rejection was decided on, is
   * synced to disk. May be called while earlier calls, for this account too, are under way.
   */
  submit(accountId: string, command: AccountCommand): Promise<Outcome>

  /** Reads every event back from the store, not from memory. Called while no command is under way. */
  verify(): Promise<Ledger>

  close(): Promise<void>
}

/** What a peer's file under `peers/` exports. */
export type PeerModule = { readonly createPeer: () => Peer }

/** Something outside this project that the peer needs is not there; the message says what to install. */
export class PeerUnavailable extends Error {
  readonly code = 'PeerUnavailable'
}
