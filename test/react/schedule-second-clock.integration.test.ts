import { expect, onTestFinished, test, vi } from 'vitest'
import { defineCluster, defineSchedule, startNode } from '../../src/index.ts'
import { ScheduleRecord, type ToldTimetable } from '../../src/react/schedule-record.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

const schedule = defineSchedule({
  name: 'nightly',
  cron: '0 3 * * *',
  missed: 'once',
  aggregate: Account,
  id: '1',
  command: 'open',
  payload: { owner: 'Ada' },
})

const config = {
  name: 'second-clock',
  aggregates: [Account],
  schedules: [schedule],
  shards: 1,
  workers: 'inline',
  onWarning: () => undefined,
} as const

/** What its record was told by a node that has started. */
async function told(redis?: string): Promise<ToldTimetable> {
  const start = vi.spyOn(ScheduleRecord.commands as Record<string, (...given: readonly unknown[]) => unknown>, 'start')
  onTestFinished(() => start.mockRestore())
  const node = await startNode(defineCluster({ ...config, dataDir: temporaryFolder(), ...(redis && { redis }) }))
  onTestFinished(() => node.close())
  await vi.waitFor(() => expect(start).toHaveBeenCalled(), { timeout: 30_000 })
  return start.mock.calls[0]![1] as ToldTimetable
}

test.skipIf(!hasRedis)("where there is a Redis, a schedule's record is told what its clock says", async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const { otherTime } = await told(redis.url)
  expect(Math.abs(otherTime! - Date.now())).toBeLessThan(60_000)
})

test('a node alone has no second clock', async () => {
  expect(await told()).toEqual({ cron: '0 3 * * *', timezone: 'UTC', missed: 'once' })
})
