/**
 * One connection to Redis on which the entries added in one turn of the event loop leave as one pipeline. A connection
 * that breaks stays broken, and the calls waiting on it fail: the run is over then.
 */
import { Redis, type ChainableCommander } from 'ioredis'

import type { AccountEvent } from '../bank-account.ts'

export type Entry = { readonly stream: string; readonly version: number; readonly event: AccountEvent }

export class RedisPipeline {
  readonly #redis: Redis
  #turn: { readonly commands: ChainableCommander; readonly replied: Promise<void> } | undefined

  constructor(port: number) {
    this.#redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: () => null })
  }

  /**
   * Resolves once Redis has replied to the whole pipeline. The version is the entry's id, so that Redis itself refuses
   * an entry that is older than the stream's newest.
   */
  add({ stream, version, event }: Entry): Promise<void> {
    this.#turn ??= this.#beginTurn()
    this.#turn.commands.xadd(stream, `${version}-0`, 'type', event.type, 'data', JSON.stringify(event.data))
    return this.#turn.replied
  }

  close(): void {
    this.#redis.disconnect()
  }

  #beginTurn(): { commands: ChainableCommander; replied: Promise<void> } {
    const commands = this.#redis.pipeline()
    const { promise: replied, resolve, reject } = Promise.withResolvers<void>()
    setImmediate(() => {
      this.#turn = undefined
      send(commands).then(resolve, reject)
    })
    return { commands, replied }
  }
}

async function send(commands: ChainableCommander): Promise<void> {
  for (const [failure] of (await commands.exec()) ?? []) if (failure) throw failure
}
