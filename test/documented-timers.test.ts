import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { filesOf, writeRunnable } from './documented.ts'
import { temporaryFolder } from './temporary.ts'

test('docs/timers.md: its test of a reactor with timers and of a schedule', () => {
  const folder = temporaryFolder()
  writeRunnable(folder, {
    ...filesOf('docs/timers.md'),
    'package.json': '{ "type": "module" }',
    'program.ts': "await import('./incident.test.ts')\nconsole.log('passed')\n",
  })
  const printed = execFileSync(process.execPath, ['program.ts'], { cwd: folder, encoding: 'utf8' })
  expect(printed.trim()).toBe('passed')
})
