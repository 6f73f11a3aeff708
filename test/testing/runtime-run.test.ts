import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { runRuntime } from '../../src/testing/runtime-run.ts'
import { ALL_FAULTS, roughStory, type CommandStep, type Step, type Story } from '../../src/testing/story.ts'
import { Tally } from '../../src/testing/tally.ts'
import { Transcript } from '../../src/testing/transcript.ts'
import { Account } from '../account.ts'
import { SEED } from '../seed.ts'

/** How a story went, in words. */
async function told(story: Story): Promise<string> {
  const transcript = new Transcript()
  await runRuntime({ aggregate: Account, invariants: {}, story, transcript, tally: new Tally(Account, []) })
  return transcript.toString()
}

function deposit(amount: number, isConcurrent = false): CommandStep {
  return { kind: 'command', aggregate: 0, name: 'deposit', payload: { amount }, metadata: {}, isConcurrent }
}

test('a command whose process dies before it is written is asked again, and takes effect once', async () => {
  const die = { kind: 'die', at: 0, isAfter: false, losesPower: true } as const
  const again = { kind: 'again', which: 1, isConcurrent: false } as const
  expect(await told({ snapshotEvery: 1, seed: 1, steps: [deposit(1), die, deposit(2), again] })).toBe(
    `\
given account aggregates without events, and a snapshot after every event
when  #1  a  deposit { amount: 1 }
then  #1  MoneyDeposited { amount: 1 } (version 1)
when  #2  a  deposit { amount: 2 }
and   the power is lost before a step at the disk (write journals/00000001/000001.log)
and   the process is started again
then  #2  MoneyDeposited { amount: 2 } (version 2)
and   #2 is sent once more, with the same command id
then  #2  MoneyDeposited { amount: 2 } (version 2)`,
  )
})

test('a worker whose disk fails is replaced, and what it had under way is answered', async () => {
  const fail = { kind: 'disk', at: 0, fault: 'fail' } as const
  const text = await told({ snapshotEvery: false, seed: 1, steps: [fail, deposit(1, true), deposit(2)] })
  expect(text).toContain('the disk fails (write')
  expect(text).toContain('its worker is replaced')
  expect(text).toContain('#2  MoneyDeposited { amount: 2 } (version 2)')
})

test('a machine that fails again and again comes up in the end', async () => {
  const fail = { kind: 'disk', at: 0, fault: 'fail' } as const
  const die = { kind: 'die', at: 0, isAfter: false, losesPower: true } as const
  const misfortunes = Array.from({ length: 15 }, () => [fail, die]).flat()
  const text = await told({ snapshotEvery: 1, seed: 1, steps: [deposit(1), ...misfortunes, deposit(2)] })
  expect(text).toContain('#2  MoneyDeposited { amount: 2 } (version 2)')
})

test('the same story goes the same way each time', async () => {
  const amount = fc.record({ amount: fc.nat(9) })
  const commands = new Map<string, fc.Arbitrary<unknown>>([
    ['deposit', amount],
    ['withdraw', amount],
  ])
  const cast = { commands, metadata: fc.constant({}), aggregates: 2, stepsMax: 30, snapshotEvery: 200 }
  for (const story of fc.sample(roughStory(cast, ALL_FAULTS), { numRuns: 30 })) {
    expect(await told(story), `seed ${SEED}`).toBe(await told(story))
  }
})

test('time passes for what decides, and not for what waits', async () => {
  const Clock = defineAggregate({
    type: 'clock',
    initialState: () => 0,
    events: { Ticked: (_state, { at }: { at: number }) => at },
    commands: { tick: (_state, _nothing: undefined, { emit, now }) => emit.Ticked({ at: now }) },
  })
  const YEAR_MS = 365 * 24 * 3_600_000
  const tick = (isConcurrent: boolean): Step => ({ ...deposit(0, isConcurrent), name: 'tick', payload: undefined })
  const die = { kind: 'die', at: 0, isAfter: false, losesPower: true } as const
  const pass = { kind: 'pass', ms: YEAR_MS } as const
  const steps = [tick(false), pass, die, tick(true), pass, tick(false)]
  const transcript = new Transcript()
  const story = { snapshotEvery: 1, seed: 1, steps }
  await runRuntime({ aggregate: Clock, invariants: {}, story, transcript, tally: new Tally(Clock, []) })
  const text = transcript.toString()
  expect(text.match(/365 days pass/g)).toHaveLength(2)
  const times = [...text.matchAll(/Ticked \{ at: (\d+) \}/g)].map(([, at]) => Number(at))
  expect(times).toHaveLength(3)
  expect(Math.floor((times[2]! - times[0]!) / YEAR_MS)).toBe(2)
  // Nobody gave up waiting meanwhile.
  expect(text).not.toContain('Timeout')
})
