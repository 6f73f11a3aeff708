import { expect, test } from 'vitest'
import { defineCluster } from '../../src/index.ts'
import { startInline } from '../../src/node/worker-handle.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { Account } from '../account.ts'

const CALLS = 60

test('whichever call of a take-over fails, whoever waits for it is told', async () => {
  const ends = { served: 0, broken: 0 }
  for (let failing = 0; failing < CALLS; failing += 1) {
    const plan = { isArmed: false, calls: 0 }
    const storage = new SimulatedStorage(new SimulatedDisk(), () => {
      if (!plan.isArmed) return 'none'
      plan.calls += 1
      return plan.calls > failing ? 'fail' : 'none'
    })
    const definition = { name: 'bank', aggregates: [Account], dataDir: 'none', workers: 'inline', shards: 2 } as const
    const worker = await startInline(
      {
        storage,
        clock: new SimulatedClock(),
        random: new SeededRandom(1),
        config: defineCluster({ ...definition, segmentBytes: 64 * 1024 }),
        clusterId: 'test',
        shards: [],
        quarantined: [],
      },
      { onLost: () => undefined, onWarning: () => undefined, onEnd: () => undefined },
    )
    plan.isArmed = true
    const owned = await worker.takeOver([0, 1])
    if (owned === undefined) ends.broken += 1
    if (owned?.length === 2) ends.served += 1
  }
  expect(ends.served).toBeGreaterThan(0)
  expect(ends.broken).toBeGreaterThan(0)
})
