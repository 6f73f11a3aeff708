import { scenarios } from './scenarios/index.ts'
import { testSlice } from './slice.ts'

/** Of each; that of `cluster`, which waits for much, runs beside these. */
const CYCLES: Readonly<Record<string, number>> = {
  kill: 4,
  pause: 3,
  'power-loss': 4,
  'failing-device': 3,
  'full-disk': 3,
  syscalls: 6,
}

for (const scenario of scenarios.filter(({ name }) => name !== 'cluster')) testSlice(scenario, CYCLES[scenario.name]!)
