import fc from 'fast-check'
import { test } from 'vitest'
import { TARGETS } from './targets.ts'
import { inTime } from '../in-time.ts'

/** Targets that open a whole log, or a directory of the machine, for each input. */
const SLOW: readonly string[] = ['directory', 'lock-file', 'message-frame']

/** `npm run fuzz` does the same for longer; with --target and --seed it does again what failed here. */
test.each(TARGETS.map((target) => [target.name, target] as const))(
  'what comes from outside is taken for what it says, or refused: %s',
  async (name, { property }) => {
    await fc.assert(property, { numRuns: SLOW.includes(name) ? 30 : 200, ...inTime() })
  },
)
