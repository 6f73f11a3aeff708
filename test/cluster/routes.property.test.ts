import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OwnersModel, SHARDS, turn, WORKERS } from './owners-model.ts'
import { inTime } from '../in-time.ts'

interface Step {
  /** For whoever reads how a property failed. */
  readonly [fc.toStringMethod]: () => string
  readonly run: (owners: OwnersModel) => void | Promise<void>
}

function step<Given>(
  label: string,
  given: fc.Arbitrary<Given>,
  run: (owners: OwnersModel, given: Given) => void | Promise<void>,
): fc.Arbitrary<Step> {
  return given.map((values) => ({
    [fc.toStringMethod]: () => `${label} ${fc.stringify(values)}`,
    run: (owners) => run(owners, values),
  }))
}

const name = fc.constantFrom(...WORKERS)
const shard = fc.nat({ max: SHARDS - 1 })
const few = fc.integer({ min: 1, max: 5 })
const which = fc.nat({ max: 100 })
const kind = fc.constantFrom('command' as const, 'command' as const, 'query' as const)
const manner = fc.constantFrom('serve' as const, 'serve' as const, 'refuse' as const, 'fail' as const)
const timeoutMs = fc.constantFrom(undefined, undefined, 3_000)

const steps = fc.oneof(
  {
    weight: 10,
    arbitrary: step('send', fc.record({ shard, kind, times: few, timeoutMs }), (owners, given) => {
      for (let i = 0; i < given.times; i += 1) owners.send(given.shard, given.kind, given.timeoutMs)
    }),
  },
  { weight: 12, arbitrary: step('turn', fc.constant(undefined), turn) },
  {
    weight: 8,
    arbitrary: step('work', fc.tuple(name, few, manner), (owners, given) => owners.work(...given)),
  },
  { weight: 6, arbitrary: step('deliver', fc.tuple(name, few), (owners, given) => owners.deliver(...given)) },
  { weight: 4, arbitrary: step('move', fc.tuple(shard, name, fc.boolean()), (owners, given) => owners.move(...given)) },
  {
    weight: 1,
    arbitrary: step(
      'lose shard',
      fc.tuple(name, name, fc.record({ isCarried: fc.boolean(), isTold: fc.boolean() })),
      (owners, given) => owners.loseShard(...given),
    ),
  },
  {
    weight: 2,
    arbitrary: step('tell', fc.tuple(shard, name, fc.nat({ max: 2 })), (owners, given) => owners.tell(...given)),
  },
  { weight: 1, arbitrary: step('suggest', fc.tuple(shard, name), (owners, given) => owners.suggest(...given)) },
  { weight: 2, arbitrary: step('cut', fc.tuple(name, fc.nat({ max: 3 })), (owners, given) => owners.cut(...given)) },
  { weight: 2, arbitrary: step('work late', fc.tuple(name, few), (owners, given) => owners.workLate(...given)) },
  { weight: 2, arbitrary: step('connect', name, (owners, given) => owners.connect(given)) },
  {
    weight: 2,
    arbitrary: step('replace', fc.tuple(name, fc.nat({ max: 3 })), (owners, given) => owners.replace(...given)),
  },
  { weight: 1, arbitrary: step('repeat', fc.tuple(name, which), (owners, given) => owners.repeat(...given)) },
  {
    weight: 2,
    arbitrary: step('babble', fc.tuple(name, which, fc.boolean()), (owners, given) => owners.babble(...given)),
  },
  { weight: 3, arbitrary: step('fill', fc.tuple(name, fc.boolean()), (owners, given) => owners.fill(...given)) },
  { weight: 2, arbitrary: step('abort', which, (owners, given) => owners.abort(given)) },
  { weight: 1, arbitrary: step('wait', fc.constantFrom(500, 2_000), (owners, given) => owners.wait(given)) },
  { weight: 1, arbitrary: step('fail waiting', shard, (owners, given) => owners.failWaiting(given)) },
)

test('whoever owns a shard, and whatever is said late, twice or by others: messages arrive in order, and senders are told once, and the truth', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 80, size: 'max' }), async (doings) => {
      const owners = new OwnersModel()
      for (const doing of doings) await doing.run(owners)
      await owners.end()
      expect(owners.underWay).toBe(0)
      expect(owners.asked.filter(({ told }) => told.length !== 1)).toEqual([])
      checkOrder(owners)
      checkOutcomes(owners)
    }),
    { numRuns: 1500, ...inTime() },
  )
}, 120_000)

/** Each command takes effect once, and in the order in which it was sent; questions see what was sent before them. */
function checkOrder({ done, refused, asked }: OwnersModel): void {
  for (const numbers of done) {
    expect(numbers).toHaveLength(new Set(numbers).size)
    const ordered = numbers.filter((number) => !refused.has(number))
    expect(ordered).toEqual(ordered.toSorted((a, b) => a - b))
  }
  const blind = asked.filter(({ number, told: [answer] }) => {
    if (answer?.kind !== 'seen') return false
    const seen = new Set(answer.numbers)
    return done[number % SHARDS]!.some((each) => each < number && !seen.has(each))
  })
  expect(blind).toEqual([])
}

/** Who is told that nothing happened can rely on it, and so can who is told that something did. */
function checkOutcomes({ done, asked }: OwnersModel): void {
  const effects = new Set(done.flat())
  const deceived = asked.filter(({ number, kind: asks, told: [outcome] }) => {
    if (asks === 'query' || outcome === undefined) return false
    if (outcome.kind === 'done') return !effects.has(number)
    const isNothing = outcome.kind === 'rejected' || (outcome.kind === 'failed' && outcome.outcome === 'none')
    return isNothing && effects.has(number)
  })
  expect(deceived).toEqual([])
}
