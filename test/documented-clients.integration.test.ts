import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startNode } from '../src/index.ts'
import { ACCOUNT, filesOf, writeRunnable } from './documented.ts'
import { hasRedis, startRedis } from './redis-server.ts'
import { temporaryFolder } from './temporary.ts'

const configOf = (redis: string): string => `import { defineCluster } from 'penhold'
import { Account } from './account.ts'
export default defineCluster({
  name: 'bank', aggregates: [Account], dataDir: 'data', workers: 1, shards: 4, redis: '${redis}'
})`

test.skipIf(!hasRedis)('docs/clients.md: its examples, one after the other, print what the page says', async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const folder = temporaryFolder()
  const files = filesOf('docs/clients.md')
  const program = files['client.ts']!
  const said = [...program.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].map(([, text]) => text)
  expect(said.length, 'it prints something').toBe(program.split('console.log(').length - 1)
  writeRunnable(folder, { 'account.ts': ACCOUNT, 'cluster.config.ts': configOf(redis.url), ...files })
  const node = await startNode(join(folder, 'cluster.config.ts'))
  onTestFinished(() => node.close())
  // The node is on this thread, which must not wait for the program.
  const printed = await new Promise<string>((resolve, reject) => {
    execFile(process.execPath, [join(folder, 'client.ts')], (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    )
  })
  expect(printed.trim().split('\n')).toEqual(said)
})
