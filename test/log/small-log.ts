import { DEFAULT_ACTOR_LIMITS } from '../../src/actor/limits.ts'
import { defineAggregate } from '../../src/index.ts'
import { encodeIdentity } from '../../src/log/cluster-identity.ts'
import { CLUSTER_PATH } from '../../src/log/path.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk, SimulatedFile } from '../../src/testing/simulated-disk.ts'
import type { Plan } from '../../src/testing/simulated-storage.ts'
import { deposit, open, type Harness } from '../actor/harness.ts'

/** An account with a snapshot every four events, so that a small log has some. */
export const Purse = defineAggregate({
  type: 'purse',
  initialState: () => ({ balance: 0, deposits: 0 }),
  events: {
    Deposited: (state, { amount }: { amount: number }) => ({
      balance: state.balance + amount,
      deposits: state.deposits + 1,
    }),
  },
  commands: { deposit: (_state, { amount }: { amount: number }, { emit }) => emit.Deposited({ amount }) },
  queries: { balance: ({ balance }) => balance, deposits: ({ deposits }) => deposits },
  snapshotEvery: 4,
})

/** What was acknowledged: by stream its deposits. */
export type Truth = ReadonlyMap<string, readonly number[]>

export const STREAMS = ['purse/a', 'purse/b', 'purse/c', 'purse/d']
export const SMALL_SEGMENT_BYTES = 2048

export interface SmallLog {
  readonly disk: SimulatedDisk
  readonly truth: Truth
}

/**
 * A log of two shards in three journals: a life that ended on purpose, one that was killed, and one that took over from
 * it, carried its last batch, and was killed in its turn.
 */
export async function writeSmallLog(rounds = 4): Promise<SmallLog> {
  const disk = emptyDisk()
  const clock = new SimulatedClock()
  const truth = new Map<string, number[]>()
  for (const life of [1, 2, 3]) {
    const harness = await openPurses(disk, clock)
    for (let round = 0; round < rounds; round += 1) {
      clock.advance(1)
      await Promise.all(STREAMS.map((stream, i) => ask(harness, truth, stream, 100 * life + 10 * round + i)))
    }
    if (life === 1) await harness.worker.close()
  }
  return { disk, truth }
}

async function ask(harness: Harness, truth: Map<string, number[]>, stream: string, amount: number): Promise<void> {
  const reply = await harness.ask(deposit(stream, amount))
  if (reply.kind !== 'accepted') throw new Error(`refused: ${JSON.stringify(reply)}`)
  truth.set(stream, [...(truth.get(stream) ?? []), amount])
}

export function emptyDisk(): SimulatedDisk {
  const disk = new SimulatedDisk()
  const content = encodeIdentity({ format: 1, clusterId: 'test', name: 'purses', shards: 2 })
  putFile(disk, CLUSTER_PATH, content)
  return disk
}

export function putFile(disk: SimulatedDisk, path: string, content: Uint8Array): void {
  const file = new SimulatedFile(true)
  file.write(0, content)
  file.sync()
  disk.files.set(path, file)
}

export function copyOfDisk(disk: SimulatedDisk): SimulatedDisk {
  const copy = new SimulatedDisk()
  for (const folder of disk.folders) copy.folders.add(folder)
  for (const [path, { live }] of disk.files) putFile(copy, path, live)
  return copy
}

export function openPurses(disk: SimulatedDisk, clock = new SimulatedClock(), plan?: Plan): Promise<Harness> {
  const limits = DEFAULT_ACTOR_LIMITS
  const options = { aggregates: [Purse], limits, segmentBytes: SMALL_SEGMENT_BYTES }
  return open(disk, clock, plan === undefined ? options : { ...options, plan })
}
