import { expect, test } from 'vitest'
import { isPenholdError, PenholdError, Rejected } from '../../src/index.ts'

const timeout = new PenholdError('Timeout', 'no reply', { outcome: 'unknown', retryable: true })

test('what was caught is an operating error, of any code or of one', () => {
  expect([isPenholdError(timeout), isPenholdError(timeout, 'Timeout'), isPenholdError(timeout, 'Aborted')]).toEqual([
    true,
    true,
    false,
  ])
  const caught: unknown = timeout
  if (!isPenholdError(caught, 'Timeout')) throw caught
  // Its type is known here.
  const code: 'Timeout' = caught.code
  expect([code, caught.retryable]).toEqual(['Timeout', true])
})

test('a business refusal is none, whatever code a handler gave it, nor is anything else', () => {
  const others = [
    new Rejected('Timeout', undefined),
    new Error('Timeout'),
    { name: 'PenholdError', code: 'Timeout' },
    'Timeout',
  ]
  for (const other of [...others, undefined, null]) {
    expect([isPenholdError(other), isPenholdError(other, 'Timeout')], JSON.stringify(other)).toEqual([false, false])
  }
})
