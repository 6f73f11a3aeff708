/** What a program defines and names, with parts that are wrong: BadDefinition or BadAddress that says so, or it works. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { PenholdError } from '../../src/aggregate/error.ts'
import { hashPlain, NotPlain, plainBytes } from '../../src/aggregate/plain.ts'
import { decode, encode } from '../../src/log/codec.ts'
import { formatId, isId, isIdAt, parseId } from '../../src/log/identity.ts'
import { PositionClock } from '../../src/log/position.ts'
import { idProblem, StreamPlacement } from '../../src/log/stream.ts'
import { defineCluster, withOverrides } from '../../src/node/config.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { Account } from '../account.ts'
import { edges } from './mutation.ts'
import { withWrong, wrong } from './plain-data.ts'
import { orDocumented, target, type Target } from './target.ts'

const isBadDefinition = (error: unknown): boolean => error instanceof PenholdError && error.code === 'BadDefinition'

const nonsense = fc.oneof(
  wrong,
  fc.anything({ withBigInt: true, withMap: true, withSet: true, withDate: true, withNullPrototype: true }),
  fc.constantFrom<unknown>(
    Symbol('s'),
    () => 1,
    async () => 1,
    Map,
    /x/,
    new Date(Number.NaN),
    new Proxy({}, {}),
  ),
)
const places = fc.nat({ max: 60 })

export const cluster: Target = target(
  'cluster-definition',
  fc.record({
    part: nonsense,
    place: places,
    override: nonsense,
    key: fc.constantFrom('shards', 'limits', 'timeouts'),
  }),
  async ({ part, place, override, key }) => {
    const valid = {
      name: 'c',
      aggregates: [Account],
      dataDir: 'd',
      workers: 2,
      shards: 8,
      segmentBytes: 65_536,
      limits: { mailboxMax: 5 },
      timeouts: { askMs: 5 },
      onTellFailed: () => 1,
      onWarning: () => 1,
    }
    const config = await orDocumented(
      () => defineCluster(withWrong(valid, place, part) as typeof valid),
      isBadDefinition,
    )
    if (config === undefined) return
    expect(Number.isInteger(config.shards) && config.limits.mailboxMax >= 1).toBe(true)
    await orDocumented(() => withOverrides(config, { [key]: override }), isBadDefinition)
  },
)

export const aggregate: Target = target(
  'aggregate-definition',
  fc.record({
    part: nonsense,
    place: places,
    name: fc.constantFrom('constructor', 'toString', 'A b', '', '__proto__'),
  }),
  async ({ part, place, name }) => {
    const step = (data: unknown): unknown => data
    const valid = {
      type: 't',
      initialState: () => ({}),
      events: { A: step },
      commands: { a: step },
      queries: { q: step },
      schemas: {},
      upcasters: { A: [step] },
      renamedEvents: { B: 'A' },
      stateVersion: 1,
      snapshotEvery: 5,
    }
    const named = { ...valid, events: { ...valid.events, [name]: step } }
    expect(await orDocumented(() => defineAggregate(named as never), isBadDefinition)).toBeUndefined()
    await orDocumented(() => defineAggregate(withWrong(valid, place, part) as never), isBadDefinition)
  },
)

/** Ids, names and positions; and data that a program gives, which is plain or is not, and says where. */
export const values: Target = target(
  'values',
  fc.record({ value: nonsense, text: fc.oneof(fc.string({ unit: 'binary' }), fc.uuid()), number: edges }),
  ({ value, text, number }) => {
    idProblem(value)
    if (idProblem(text) === undefined) expect(new StreamPlacement(text, 7).shardOf(text)).toBeLessThan(7)
    if (isId(text)) {
      const id = parseId(text)
      expect(isIdAt(id.bytes, id.start)).toBe(true)
      expect(formatId(id)).toBe(text)
    }
    const clock = new PositionClock(new SimulatedClock())
    clock.observe(number * 2 ** 20)
    expect(clock.next()).toBeGreaterThan(number * 2 ** 20)
    expectPlainOrSaid(value)
  },
)

function expectPlainOrSaid(value: unknown): void {
  try {
    hashPlain(value, 0)
  } catch (error) {
    expect(error).toBeInstanceOf(NotPlain)
    return
  }
  if (value === undefined) return
  const encoded = encode(value)
  expect(plainBytes(value) * 4 + 16).toBeGreaterThanOrEqual(encoded.length)
  decode(encoded)
}
