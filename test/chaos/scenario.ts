/** A scenario: one kind of torment. */
import { Chaos, type ChaosOptions } from './chaos.ts'
import { Cleanup } from './cleanup.ts'
import type { Figures } from './figures.ts'
import type { Requirement } from './requirement.ts'

export interface Scenario {
  readonly name: string
  readonly about: string
  readonly requirements: readonly Requirement[]
  /** How many cycles make a run that counts. */
  readonly cycles: number
  /** Commands and reads in a second, of all clients together, unless told otherwise. Default: no limit. */
  readonly rate?: number
  readonly run: (chaos: Chaos) => Promise<void>
}

/** Runs it, and cleans up whatever happens. Rejects where it is aborted or cannot be run; violations are figures. */
export async function runScenario(scenario: Scenario, options: ChaosOptions): Promise<Figures> {
  const cleanup = new Cleanup()
  try {
    const chaos = new Chaos(options, cleanup)
    await scenario.run(chaos)
    return chaos.figures
  } finally {
    cleanup.run()
  }
}
