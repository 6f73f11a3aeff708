import { expect, test } from 'vitest'
import type { Chaos } from './chaos.ts'
import { missing } from './requirement.ts'
import { runScenario } from './scenario.ts'
import { scenarios } from './scenarios/index.ts'

/** A slice of each; `npm run chaos` runs as many as make a result. */
const CYCLES: Readonly<Record<string, number>> = {
  cluster: 2,
  kill: 4,
  pause: 3,
  'power-loss': 4,
  'failing-device': 3,
  'full-disk': 3,
  syscalls: 6,
}
const seed = Number(process.env['CHAOS_SEED'] ?? Math.floor(Math.random() * 1e9))

test.for(scenarios)('what was acknowledged survives: $name', { timeout: 600_000 }, async (scenario, { skip }) => {
  const lack = missing(scenario.requirements)
  skip(lack !== undefined, lack)
  const cycles = CYCLES[scenario.name]!
  let done = 0
  const onCycle = (chaos: Chaos): void => void (done = chaos.figures.cycles)
  const figures = await runScenario(scenario, { cycles, seed, signal: new AbortController().signal, onCycle })
  expect(figures.violations, `CHAOS_SEED=${seed}`).toEqual([])
  expect(done).toBe(cycles)
  expect(figures.acknowledged).toBeGreaterThan(0)
})
