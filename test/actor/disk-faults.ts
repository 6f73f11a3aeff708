/** What befalls a worker's disk in property tests: a fault at one of its steps, and then perhaps the power is lost. */
import fc from 'fast-check'
import type { Fault, Step } from '../../src/testing/simulated-storage.ts'

export const diskFault: fc.Arbitrary<{ readonly at: number; readonly kind: Fault; readonly losesPower: boolean }> =
  fc.record({
    at: fc.integer({ min: 1, max: 120 }),
    kind: fc.constantFrom<Fault>('die-before', 'die-after', 'fail', 'full'),
    losesPower: fc.boolean(),
  })

export const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 150),
}

export function strikeAt(at: number, kind: Fault): (step: Step) => Fault {
  return ({ number }) => (number === at ? kind : 'none')
}
