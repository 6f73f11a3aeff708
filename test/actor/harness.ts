import { DEFAULT_ACTOR_LIMITS } from '../../src/actor/limits.ts'
import type { CommandMessage, Message, Reply, Sender } from '../../src/actor/message.ts'
import { Worker } from '../../src/actor/worker.ts'
import type { Aggregate } from '../../src/aggregate/aggregate.ts'
import { hashPlain } from '../../src/aggregate/plain.ts'
import { deriveId, parseId } from '../../src/log/identity.ts'
import { Log } from '../../src/log/log.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Plan } from '../../src/testing/simulated-storage.ts'
import { Account } from '../account.ts'

/** A worker on a simulated disk, and whoever sends it messages. */
export interface Harness {
  readonly log: Log
  readonly worker: Worker
  readonly warnings: string[]
  readonly ask: (message: Omit<CommandMessage, keyof typeof DEFAULTS> & Partial<CommandMessage>) => Promise<Reply>
  readonly query: (stream: string, name: string, epoch?: number) => Promise<Reply>
}

interface Options {
  readonly aggregates?: Aggregate[]
  readonly limits?: object
  readonly plan?: Plan
  readonly tweak?: (log: Log) => void
  readonly segmentBytes?: number
  readonly own?: readonly number[]
  readonly onBroken?: (error: unknown) => void
  readonly onLost?: (shards: readonly number[]) => void
}

function rethrow(error: unknown): never {
  throw error
}

export const DEFAULTS = {
  kind: 'command',
  request: 0,
  epoch: 0,
  payloadHash: 0,
  isFresh: true,
  isAgain: false,
  expectedVersion: -1,
  deadline: Number.POSITIVE_INFINITY,
  after: 0,
  since: 0,
  sentIn: undefined,
  waitsForReactors: false,
  metadata: undefined,
  commandId: parseId(deriveId('none')),
} as const

export async function open(
  disk: SimulatedDisk,
  clock: SimulatedClock,
  {
    aggregates = [Account],
    limits = {},
    plan,
    tweak,
    segmentBytes = 4096,
    own = [0, 1],
    onBroken = rethrow,
    onLost = () => undefined,
  }: Options = {},
): Promise<Harness> {
  const storage = new SimulatedStorage(disk, plan)
  const options = { clusterId: 'test', shards: 2, own, segmentBytes, node: 'test' }
  const log = await Log.open({ storage, clock, ...options })
  tweak?.(log)
  const warnings: string[] = []
  const worker = new Worker({
    log,
    clock,
    random: new SeededRandom(1),
    aggregates,
    limits: { ...DEFAULT_ACTOR_LIMITS, ...limits },
    quarantined: [],
    progress: { enter: () => undefined, leave: () => undefined },
    onWarning: (message) => warnings.push(message),
    onLost,
    onBroken,
  })
  let lastId = 0
  const send = (message: Message): Promise<Reply> =>
    new Promise((resolve) => {
      const sender: Sender = { reply: (_, reply) => resolve(reply), flush: () => undefined }
      worker.receive(sender, [message])
    })
  return {
    log,
    worker,
    warnings,
    ask(message) {
      const payloadHash = hashPlain(message.payload, 0)
      const commandId = parseId(deriveId('auto', (lastId += 1), clock.monotonic(), Math.random()))
      return send({ ...DEFAULTS, commandId, payloadHash, ...message })
    },
    query: (stream, name, epoch = 0) => send({ kind: 'query', request: 1, epoch, stream, name, payload: undefined }),
  }
}

export const deposit = (stream: string, amount: number) => ({ stream, name: 'deposit', payload: { amount } })
