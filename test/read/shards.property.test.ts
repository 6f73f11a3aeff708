/**
 * By shard, over real logs and several nodes: whoever takes shards from whom, is stopped, crashes or loses power, and
 * whatever is rebuilt meanwhile, each event takes effect once in each generation, in the order of its shard.
 */
import fc from 'fast-check'
import { test } from 'vitest'
import { NODES, SHARDS, ShardWorld, type Harm, type Step } from './shard-world.ts'
import { inTime } from '../in-time.ts'

const shard = fc.nat(SHARDS - 1)
const worker = fc.nat(3)
const node = fc.nat(NODES - 1)
const fault = fc.constantFrom('lost' as const, 'unheard' as const, 'moved' as const, 'slow' as const, 'fine' as const)

const harm = fc.constantFrom<Harm>('bit', 'bytes')
const maybeHarm = fc.option(harm, { nil: undefined, freq: 5 })

function does<Name extends Step['do']>(...names: readonly Name[]): fc.Arbitrary<Name> {
  return fc.constantFrom(...names)
}

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ do: does('write'), shard, events: fc.integer({ min: 1, max: 6 }), harm: maybeHarm }),
  },
  { weight: 4, arbitrary: fc.record({ do: does('move'), shard, to: worker, isAlone: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: does('die'), shard, to: worker }) },
  { weight: 2, arbitrary: fc.record({ do: does('stall'), shard }) },
  { weight: 1, arbitrary: fc.record({ do: does('haunt'), worker }) },
  { weight: 2, arbitrary: fc.record({ do: does('roll', 'close'), worker }) },
  { weight: 1, arbitrary: fc.record({ do: does('power-loss') }) },
  { weight: 1, arbitrary: fc.record({ do: does('crash'), node }) },
  { weight: 8, arbitrary: fc.record({ do: does('wait'), ms: fc.integer({ min: 50, max: 2_000 }) }) },
  { weight: 2, arbitrary: fc.record({ do: does('faults'), faults: fc.array(fault, { minLength: 1, maxLength: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ do: does('poison'), shard }) },
  { weight: 1, arbitrary: fc.record({ do: does('mend') }) },
  { weight: 2, arbitrary: fc.record({ do: does('harm'), event: fc.nat(100), harm }) },
  { weight: 1, arbitrary: fc.record({ do: does('mend-log') }) },
  { weight: 1, arbitrary: fc.record({ do: does('lose'), event: fc.nat(100) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: does('rebuild', 'rebuild', 'abort-rebuild', 'roll-back', 'resume-rebuild'), node }),
  },
)

test.each([300, 4_000, 1_000_000])(
  'each event takes effect once (%d bytes are kept)',
  { timeout: 300_000 },
  async (kept) => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { minLength: 5, maxLength: 40 }), fc.nat(), async (steps, seed) => {
        const world = new ShardWorld(seed, kept)
        await world.start()
        for (const step of steps) await world.take(step)
        await world.end()
      }),
      { numRuns: Number(globalThis.process.env['PENHOLD_RUNS'] ?? 200), ...inTime() },
    )
  },
)

test('what went live elsewhere and was set aside between two looks is rebuilt no more', async () => {
  const write: Step = { do: 'write', shard: 0, events: 1 }
  const steps: Step[] = [
    { do: 'rebuild', node: 0 },
    write,
    write,
    { do: 'roll-back', node: 1 },
    write,
    { do: 'rebuild', node: 0 },
  ]
  const world = new ShardWorld(0, 4_000)
  await world.start()
  for (const step of steps) await world.take(step)
  await world.end()
})

test('what is missing at the end of a reign, and missed in the next, is read anew once it is mended', async () => {
  const wait: Step = { do: 'wait', ms: 50 }
  const steps: Step[] = [
    { do: 'write', shard: 0, events: 1 },
    { do: 'write', shard: 3, events: 2, harm: 'bytes' },
    { do: 'roll', worker: 1 },
    wait,
    wait,
    // Whoever takes over has it mended; another row of the journal has what was read of it before.
    { do: 'move', shard: 3, to: 0 },
  ]
  const world = new ShardWorld(28, 300)
  await world.start()
  for (const step of steps) await world.take(step)
  await world.end()
})
