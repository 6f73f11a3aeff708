import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// A machine that tests may stall for seconds. No test tells by the clock whether all is well: these times only end what hangs.
export default defineConfig({
  test: {
    setupFiles: ['test/set-up.ts'],
    // Many files wait for servers and for time to pass, so that two at once are quicker also where there are two processors.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
  },
})
