import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkBank } from './bank-check.ts'
import { SimulatedBank, turn, type BankCommand } from './simulated-bank.ts'
import { inTime } from '../in-time.ts'

const command: fc.Arbitrary<BankCommand> = fc.record({
  account: fc.integer({ min: 0, max: 2 }),
  name: fc.constantFrom('deposit', 'withdraw', 'transferIn'),
  amount: fc.integer({ min: 1, max: 20 }),
})

/** A worker stops at a step of its life; another takes its shards over and serves; the first wakes up and goes on. */
async function stopAndWake(bank: SimulatedBank, stopAt: number, chunk: number): Promise<void> {
  let wake = (): void => undefined
  const stopped = new Promise<void>((resolve) => {
    wake = resolve
  })
  let isStopped = false
  const sleeper = bank.live(async ({ number }) => {
    if (number === stopAt) {
      isStopped = true
      await stopped
    }
    return 'none' as const
  }, chunk)
  for (let i = 0; i < 200 && !isStopped; i += 1) await turn()
  await bank.live(() => 'none', chunk)
  wake()
  await sleeper
}

test('an owner that is stopped at any step, superseded, and wakes up, acknowledges nothing that is lost (I1, I2)', async () => {
  const commands = Array.from({ length: 12 }, (_, i) => ({
    account: i % 3,
    name: (['deposit', 'transferIn', 'withdraw'] as const)[i % 3]!,
    amount: i + 1,
  }))
  const options = { snapshotEvery: 2, segmentBytes: 2048 } as const
  const { steps } = await new SimulatedBank(commands, options, 1).live(() => 'none', 4)
  for (let at = 1; at <= steps; at += 1) {
    const bank = new SimulatedBank(commands, options, at)
    await stopAndWake(bank, at, 4)
    expect(bank.replies.size, `stopped at step ${at}`).toBe(commands.length)
    await checkBank(bank)
  }
}, 120_000)

test('the same holds for any commands, with a crash of the sleeper afterwards', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 1, maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 8 }),
      fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
      async (commands, stops, chunk, seed) => {
        const bank = new SimulatedBank(commands, { snapshotEvery: 3, segmentBytes: 4096 }, seed)
        for (const at of stops) {
          await stopAndWake(bank, at, chunk)
          bank.disk.losePower(bank.random)
        }
        await bank.live(() => 'none', chunk)
        expect(bank.replies.size).toBe(commands.length)
        await checkBank(bank)
      },
    ),
    { numRuns: Number(process.env['PENHOLD_RUNS'] ?? 100), ...inTime() },
  )
}, 120_000)
