/** One connection to Redis that is kept for as long as it takes, and whose calls come to an end in time, well or not. */
import { connectRedis, type RedisClient, type RedisSettings } from './redis-settings.ts'

export class RedisCalls {
  readonly #client: RedisClient['client']
  /** Where it is, for messages. */
  readonly address: string
  readonly #redact: RedisClient['redact']
  readonly #checkDatabase: RedisClient['checkDatabase']
  readonly #timeoutMs: number
  /** Why there is no connection. Who asks is told; nobody else listens. */
  #lastError: unknown
  #isClosed = false
  /** An attempt to connect for whose end somebody waits: all for the same one. */
  #settling: Promise<void> | undefined
  /** Whom to tell when it is closed. */
  readonly #waiting = new Set<(reason: Error) => void>()

  /**
   * Connects from here on.
   * @throws PenholdError `BadDefinition` where the settings cannot work
   */
  constructor(settings: RedisSettings, timeoutMs: number) {
    const { client, address, redact, checkDatabase } = connectRedis(settings, timeoutMs)
    this.#client = client
    this.address = address
    this.#redact = redact
    this.#checkDatabase = checkDatabase
    this.#timeoutMs = timeoutMs
    client.on('error', (error: unknown) => (this.#lastError = error))
    client.on('ready', () => (this.#lastError = undefined))
  }

  define(name: string, script: { readonly lua: string; readonly numberOfKeys: number }): void {
    this.#client.defineCommand(name, script)
  }

  /** Waits for a connection that is under way; where there is none it fails at once. */
  async run<Result>(call: (client: RedisClient['client']) => Promise<Result>): Promise<Result> {
    const { promise, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new Error(`no answer in ${this.#timeoutMs} ms`)), this.#timeoutMs)
    this.#waiting.add(reject)
    try {
      // A Redis Cluster's commands wait and are sent again beyond ioredis' own time limit.
      return await Promise.race([this.#send(call), promise])
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(reject)
    }
  }

  /** What an error says, without what is secret. Some errors of Node have only a code. */
  reasonOf(error: unknown): string {
    // An error of ioredis has the command in it, and so is shown by its message alone.
    if (!(error instanceof Error)) return this.#redact(String(error))
    // It speaks of a setting of ioredis that nobody can change here.
    if (error.name === 'MaxRetriesPerRequestError') return 'the connection was lost'
    const code = 'code' in error ? String(error.code) : error.name
    return this.#redact(error.message === '' ? code : error.message)
  }

  close(): void {
    this.#isClosed = true
    for (const giveUp of this.#waiting) giveUp(new Error('the connection was closed'))
    // Between two attempts to connect there is no event to wait for.
    this.#client.disconnect()
  }

  async #send<Result>(call: (client: RedisClient['client']) => Promise<Result>): Promise<Result> {
    const client = this.#client
    if (this.#isClosed) throw new Error('the connection was closed')
    // A connector that gave up: for ioredis this is the end, for a node it is not.
    if (client.status === 'end') client.connect().catch(() => undefined)
    if (client.status === 'connecting' || client.status === 'connect') {
      this.#settling ??= this.#settled().finally(() => (this.#settling = undefined))
      await this.#settling
    }
    if (client.status !== 'ready') throw this.#lastError ?? new Error('there is no connection')
    this.#checkDatabase()
    return await call(client)
  }

  /** Once an attempt to connect has come to its end, well or not. */
  #settled(): Promise<void> {
    const client = this.#client
    return new Promise((resolve) => {
      const events = ['ready', 'close', 'end']
      const done = (): void => {
        for (const event of events) client.off(event, done)
        resolve()
      }
      for (const event of events) client.on(event, done)
    })
  }
}
