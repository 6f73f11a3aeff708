/** Run by node:test, in a process of its own (runners.integration.test.ts): no globals, no vitest. */
import { test } from 'node:test'
import * as fc from 'fast-check'
import { checkInvariants, eventsOf, given, rejected } from '../../../src/testing/index.ts'
import { Account } from '../../account.ts'
import { ShelfThatOverflows } from '../planted.ts'

const { MoneyDeposited } = eventsOf(Account)

void test('a decision that is as expected', () => {
  given(Account).when('withdraw', { amount: 1 }).then(rejected('insufficient-funds'))
})

void test('a decision that is not', () => {
  given(Account)
    .when('deposit', { amount: 1 })
    .then(MoneyDeposited({ amount: 2 }))
})

void test('invariants that hold', async () => {
  const amount = fc.record({ amount: fc.nat(9) })
  const commands = { open: fc.record({ owner: fc.string() }), deposit: amount, withdraw: amount }
  await checkInvariants(Account, { numRuns: 10, commands })
})

void test('an invariant that does not', async () => {
  const count = fc.record({ count: fc.nat(5) })
  const invariants = { 'never fewer than none': ({ pieces }: { pieces: number }) => pieces >= 0 }
  await checkInvariants(ShelfThatOverflows, { commands: { stock: count, take: count }, invariants })
})
