import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hasRedis } from '../redis-server.ts'

const main = join(import.meta.dirname, '../../examples/cluster/main.ts')

test.each([
  [['--foo'], 2, "Unknown option '--foo'\nTry --help.\n"],
  [['--help'], 0, ''],
  [[], 1, 'there is no redis-server here; install it (Debian: apt-get install redis-server)\n'],
])('npm run cluster %j, where there is no redis-server, says in words what is wrong', (words, code, err) => {
  const { status, stderr } = spawnSync(process.execPath, [main, ...words], { env: { PATH: '' }, encoding: 'utf8' })
  expect([status, stderr]).toEqual([code, err])
})

test.skipIf(!hasRedis)(
  'npm run cluster: a node killed, one that joins and one that leaves, and the numbers are the truth (needs redis-server)',
  { timeout: 180_000 },
  () => {
    const stdout = execFileSync(process.execPath, [main, '--incidents', '600', '--json'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    // It ends with 1, and this throws, where they differ from what was generated.
    expect(JSON.parse(stdout)).toMatchObject({ incidents: 600 })
  },
)
