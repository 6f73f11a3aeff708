/** Effects in memory: records of consumers as their aggregate keeps them, and what was sent to others. */
import { PenholdError } from '../../src/aggregate/error.ts'
import { ConsumerRecord, type ConsumerState } from '../../src/react/consumer-record.ts'
import type { Effects, LoadedEvent, SentCommand, SentOutcome, SentQuestion } from '../../src/react/effects.ts'

type Decide = (state: ConsumerState, payload: unknown, context: object) => unknown
type Ask = (state: ConsumerState, argument: unknown) => unknown
interface Decided {
  readonly kind?: 'rejection'
  readonly code: string
  readonly type: string
  readonly data: unknown
}

/** `before`: nothing happens; `after`: it happens, and nobody is told. */
export type Fault = 'before' | 'after'

export class MemoryEffects implements Effects {
  readonly commandBytesMax = 1_000_000
  readonly sent: SentCommand[] = []
  readonly steps: string[] = []
  /** Of the next commands. */
  readonly faults: Fault[] = []
  /** What is answered to commands that are no record's. */
  onSent: (command: SentCommand) => Promise<SentOutcome> = async () => ({ kind: 'accepted', version: 1, position: 1 })
  /** Events of records. */
  onRecorded: (stream: string, type: string) => void = () => undefined
  readonly #records = new Map<string, ConsumerState>()
  readonly #known = new Map<string, SentOutcome>()

  record(shard: number, name = 'reactor:mails'): ConsumerState {
    return this.#records.get(this.inShard(shard, '$consumer', name)) ?? ConsumerRecord.initialState()
  }

  async ask(command: SentCommand): Promise<SentOutcome> {
    const fault = this.faults.shift()
    if (fault === 'before') throw away()
    const { stream, commandId } = command
    if (!stream.startsWith('$consumer/')) {
      this.sent.push(command)
      return await this.onSent(command)
    }
    const outcome = this.#known.get(commandId) ?? this.#decide(command)
    if (outcome.kind === 'accepted') this.#known.set(commandId, outcome)
    if (fault === 'after') throw away()
    return outcome
  }

  async find(): Promise<undefined> {}

  async query({ stream, name, argument }: SentQuestion): Promise<unknown> {
    if (this.faults.shift() !== undefined) throw away()
    const state = this.#records.get(stream) ?? ConsumerRecord.initialState()
    return (ConsumerRecord.queries as unknown as Record<string, Ask>)[name]!(state, argument)
  }

  append(): ReturnType<Effects['append']> {
    throw new Error('nothing is appended here')
  }

  // oxlint-disable-next-line require-yield -- there is nothing to load
  async *load(): AsyncGenerator<LoadedEvent, void> {}

  inShard(shard: number, category: `$${string}`, id: string): string {
    return `${category}/${id}~${shard}`
  }

  knows(): boolean {
    return true
  }

  #decide({ stream, name, payload }: SentCommand): SentOutcome {
    const state = this.#records.get(stream) ?? ConsumerRecord.initialState()
    const emit = new Proxy({}, { get: (_target, type) => (data: unknown) => ({ type, data }) })
    const reject = (code: string, details: unknown): object => ({ kind: 'rejection', code, details })
    const decide = (ConsumerRecord.commands as unknown as Record<string, Decide>)[name]!
    const decided = decide(state, payload, { emit, reject }) as Decided | undefined
    if (decided?.kind === 'rejection') return { kind: 'rejected', code: decided.code, details: undefined }
    if (decided !== undefined) {
      const evolve = (
        ConsumerRecord.events as unknown as Record<string, (s: ConsumerState, d: unknown) => ConsumerState>
      )[decided.type]!
      this.#records.set(stream, evolve(state, decided.data))
      this.steps.push(decided.type)
      this.onRecorded(stream, decided.type)
    }
    return { kind: 'accepted', version: 1, position: 1 }
  }
}

export function away(): PenholdError {
  return new PenholdError('ShardUnavailable', 'nobody serves it', { outcome: 'unknown', retryable: true })
}
