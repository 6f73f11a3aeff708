import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

test('the kit works under node:test as it does here', () => {
  const file = join(import.meta.dirname, 'runners/account.node-test.ts')
  // Without the variables by which one test runner knows that another one runs it.
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env
  const { status, stdout } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', file], {
    encoding: 'utf8',
    env: { ...env, NO_COLOR: '1' },
  })
  expect(status).toBe(1)
  expect(stdout).toContain('✔ a decision that is as expected')
  expect(stdout).toContain('✖ a decision that is not')
  expect(stdout).toContain('- MoneyDeposited { amount: 2 }')
  expect(stdout).toContain('✔ invariants that hold')
  expect(stdout).toContain('✖ an invariant that does not')
  expect(stdout).toMatch(/'never fewer than none' does not hold for shelf\/a at version [23]\n/v)
})
