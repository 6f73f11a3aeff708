import fs from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startNode } from '../../src/index.ts'
import { rehearse } from '../../src/node/rehearsal.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

function useForTemporaryFiles(folder: string): void {
  vi.stubEnv('TMPDIR', folder)
  onTestFinished(() => void vi.unstubAllEnvs())
}

test('a rehearsal leaves nothing behind', async () => {
  const folder = temporaryFolder()
  useForTemporaryFiles(folder)
  // The first may open what the process keeps.
  expect(await rehearse()).toBe(48)
  const open = fs.readdirSync('/proc/self/fd').length
  expect(await rehearse()).toBe(48)
  expect(fs.readdirSync(folder)).toEqual([])
  expect(fs.readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(open)
})

test.runIf(hasRedis)('a worker that cannot rehearse says so and serves', async () => {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const dataDir = temporaryFolder()
  useForTemporaryFiles(join(dataDir, 'missing'))
  const said = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
  onTestFinished(() => said.mockRestore())
  const overrides = { dataDir, redis: server.url, workers: 1 }
  await using node = await startNode(new URL('rehearsal.config.ts', import.meta.url), overrides)
  const { workers } = await node.status()
  expect(workers[0]?.shards.length).toBeGreaterThan(0)
  expect(said.mock.calls.map(([warning]) => String(warning))).toContainEqual(
    expect.stringMatching(/could not rehearse.*ENOENT/),
  )
})
