import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hasRedis } from '../redis-server.ts'

test.skipIf(!hasRedis)(
  'npm run cluster: a node killed, one that joins and one that leaves, and the numbers are the truth (needs redis-server)',
  { timeout: 180_000 },
  () => {
    const main = join(import.meta.dirname, '../../examples/cluster/main.ts')
    const stdout = execFileSync(process.execPath, [main, '--incidents', '600', '--json'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    // It ends with 1, and this throws, where they differ from what was generated.
    expect(JSON.parse(stdout)).toMatchObject({ incidents: 600 })
  },
)
