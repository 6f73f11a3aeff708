import { defineConfig } from 'vitest/config'

// A machine that tests may stall for seconds. No test tells by the clock whether all is well: these times only end what hangs.
export default defineConfig({
  test: {
    setupFiles: ['test/set-up.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
  },
})
