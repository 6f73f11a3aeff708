import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../temporary.ts'

const program = new URL('waiting-program.ts', import.meta.url).pathname

test.for([
  { what: 'nothing', said: '' },
  { what: 'everything', said: 'MoneyDeposited\n' },
  { what: 'stream', said: 'MoneyDeposited\n' },
  { what: 'handler', said: 'MoneyDeposited\n' },
  { what: 'query', said: 'NodeClosed\n' },
])('an inline node keeps its process until it is closed, and no longer: $what', ({ what, said }) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, temporaryFolder(), what], {
    encoding: 'utf8',
    timeout: 50_000,
  })
  expect([status, stdout.split('\n').toSorted(), stderr]).toEqual([0, `${said}closed\n`.split('\n').toSorted(), ''])
})
