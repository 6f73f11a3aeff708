/** A slice of a scenario as a test; `npm run chaos` runs as many cycles as make a result. */
import { expect, test } from 'vitest'
import type { Chaos } from './chaos.ts'
import { missing } from './requirement.ts'
import { runScenario, type Scenario } from './scenario.ts'

const seed = Number(process.env['CHAOS_SEED'] ?? Math.floor(Math.random() * 1e9))

export function testSlice(scenario: Scenario, cycles: number): void {
  test(`what was acknowledged survives: '${scenario.name}'`, { timeout: 600_000 }, async ({ skip }) => {
    const lack = missing(scenario.requirements)
    skip(lack !== undefined, lack)
    let done = 0
    const onCycle = (chaos: Chaos): void => void (done = chaos.figures.cycles)
    const { rate } = scenario
    const figures = await runScenario(scenario, { cycles, seed, rate, signal: new AbortController().signal, onCycle })
    expect(figures.violations, `CHAOS_SEED=${seed}`).toEqual([])
    expect(done).toBe(cycles)
    expect(figures.acknowledged).toBeGreaterThan(0)
  })
}
