import fc from 'fast-check'
import { expect, test } from 'vitest'
import { diskFault, parameters, strikeAt } from './disk-faults.ts'
import { checkBank } from './bank-check.ts'
import { SimulatedBank, type BankCommand } from './simulated-bank.ts'
import { inTime } from '../in-time.ts'

const command: fc.Arbitrary<BankCommand> = fc.record({
  account: fc.integer({ min: 0, max: 3 }),
  name: fc.constantFrom('deposit', 'withdraw', 'transferIn'),
  amount: fc.integer({ min: 1, max: 20 }),
})
const options = fc.record({
  snapshotEvery: fc.constantFrom<number | false>(1, 3, false),
  segmentBytes: fc.constantFrom(1024, 4096, 65_536),
})
test(
  'what was acknowledged survives crashes, failing disks and power loss at any step',
  { timeout: 120_000 },
  async () => {
    const story = fc.record({
      commands: fc.array(command, { minLength: 1, maxLength: 40 }),
      options,
      chunk: fc.integer({ min: 1, max: 10 }),
      faults: fc.array(diskFault, { maxLength: 5 }),
      seed: fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
    })
    await fc.assert(
      fc.asyncProperty(story, async ({ commands, options: given, chunk, faults, seed }) => {
        const bank = new SimulatedBank(commands, given, seed)
        for (const { at, kind, losesPower } of faults) {
          await bank.live(strikeAt(at, kind), chunk)
          if (losesPower) bank.disk.losePower(bank.random)
        }
        for (let tries = 0; bank.replies.size < commands.length && tries < 3; tries += 1) {
          await bank.live(() => 'none', chunk)
        }
        expect(bank.replies.size, 'every command is answered in the end').toBe(commands.length)
        bank.disk.losePower(bank.random)
        await checkBank(bank)
      }),
      { ...parameters, ...inTime() },
    )
  },
)

test('a crash at each step of a life, before and after its effect, loses nothing', { timeout: 120_000 }, async () => {
  const commands = Array.from({ length: 12 }, (_, i) => ({
    account: i % 3,
    name: (['deposit', 'transferIn', 'withdraw'] as const)[i % 3]!,
    amount: i + 1,
  }))
  const given = { snapshotEvery: 2, segmentBytes: 2048 } as const
  const whole = new SimulatedBank(commands, given, 1)
  const { steps } = await whole.live(() => 'none', 4)
  for (let at = 1; at <= steps; at += 1) {
    for (const kind of ['die-before', 'die-after', 'fail'] as const) {
      for (const losesPower of [false, true]) {
        const bank = new SimulatedBank(commands, given, at)
        await bank.live(strikeAt(at, kind), 4)
        if (losesPower) bank.disk.losePower(bank.random)
        await bank.live(() => 'none', 4)
        expect(bank.replies.size, `${kind} at step ${at}`).toBe(commands.length)
        // What was adopted from the page cache alone would be gone now.
        bank.disk.losePower(bank.random)
        await checkBank(bank)
      }
    }
  }
})
