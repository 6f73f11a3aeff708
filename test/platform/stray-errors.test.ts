import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { BrokenInvariant } from '../../src/aggregate/assert.ts'
import { isOwnException, isOwnRejection } from '../../src/platform/stray-errors.ts'

const OWN = new URL('../../src/actor/worker.ts', import.meta.url).href
const BUILT = new URL('../../dist/actor/worker.js', import.meta.url).href
const USERS = 'file:///app/account.ts'

function madeAt(...places: string[]): Error {
  const error = new Error('stray')
  error.stack = ['Error: stray', ...places.map((place) => `    at f (${place}:1:1)`)].join('\n')
  return error
}

test("a rejection is Penhold's where its error was made there, or by an invariant", async () => {
  expect(isOwnRejection(madeAt(OWN, USERS))).toBe(true)
  expect(isOwnRejection(madeAt('node:fs', BUILT))).toBe(true)
  expect(isOwnRejection(new BrokenInvariant('x'))).toBe(true)
  expect(isOwnRejection(madeAt(USERS, OWN)), 'an async handler is called by Penhold').toBe(false)
  for (const reason of [undefined, 'text', madeAt('node:net'), madeAt()]) expect(isOwnRejection(reason)).toBe(false)
  expect(isOwnRejection(await readFile('/nothing/here').catch((error: unknown) => error))).toBe(false)
})

test("what a callback throws is Penhold's where Penhold is in its stack, or may be", () => {
  expect(isOwnException(madeAt(OWN))).toBe(true)
  expect(isOwnException(madeAt(USERS, 'node:timers', BUILT))).toBe(true)
  expect(isOwnException(new BrokenInvariant('x'))).toBe(true)
  expect(isOwnException(madeAt(...Array.from({ length: Error.stackTraceLimit }, () => USERS)))).toBe(true)
  for (const error of [undefined, 'text', madeAt('node:net'), madeAt(USERS)]) expect(isOwnException(error)).toBe(false)
})

test("a thread survives its users' stray errors, and none of Penhold's own", () => {
  const module = new URL('../../src/platform/stray-errors.ts', import.meta.url).href
  const invariant = new URL('../../src/aggregate/assert.ts', import.meta.url).href
  const runs = (stray: string): string => {
    const script = `import { Worker } from 'node:worker_threads'
      const inside = \`Promise.all([import('${module}'), import('${invariant}')]).then(([{ surviveStrayErrors }, { assert }]) => {
        surviveStrayErrors(() => undefined)
        setTimeout(() => process.exit(7), 50)
        ${stray}
      })\`
      const thread = new Worker(inside, { eval: true })
      thread.on('error', ({ name }) => console.log(name))
      thread.on('exit', (code) => console.log(code))`
    const args = ['--input-type=module', '--eval', script]
    return execFileSync(process.execPath, args, { timeout: 60_000, encoding: 'utf8' })
  }
  expect(runs(`setTimeout(() => { throw new Error('x') }); void Promise.reject(new Error('y'))`)).toBe('7\n')
  expect(runs(`setTimeout(() => assert(false, 'x'))`)).toBe('BrokenInvariant\n1\n')
  expect(runs(`void Promise.reject().catch(() => assert(false, 'x'))`)).toBe('BrokenInvariant\n1\n')
})
