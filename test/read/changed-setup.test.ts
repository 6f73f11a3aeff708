import type { DatabaseSync } from 'node:sqlite'
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { sqliteStore } from '../../src/platform/sqlite-read-model.ts'
import { defineProjection } from '../../src/read/projection.ts'
import { RunningProjection } from '../../src/read/running-projection.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { temporaryFolder } from '../temporary.ts'
import { EventRow } from './event-row.ts'

const before = (db: DatabaseSync) => {
  db.exec('CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY) STRICT')
  return { add: db.prepare('INSERT INTO seen (id) VALUES (?)'), all: db.prepare('SELECT id FROM seen ORDER BY id') }
}

/** The same with a column more. */
const after = (db: DatabaseSync) => {
  db.exec('CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, extra INTEGER NOT NULL DEFAULT 7) STRICT')
  return {
    add: db.prepare('INSERT INTO seen (id) VALUES (?)'),
    all: db.prepare('SELECT id, extra FROM seen ORDER BY id'),
  }
}

function bench() {
  const [path, row, clock] = [temporaryFolder(), new EventRow(), new SimulatedClock()]
  const warnings: string[] = []
  const open = async (setup: typeof before) => {
    const projection = defineProjection({
      name: 'seen',
      from: 'all',
      store: sqliteStore({ path, setup }),
      on: { Done: ({ id }, { add }) => add.run(id) },
    })
    const onWarning = (message: string): void => void warnings.push(message)
    const running = await RunningProjection.open({ projection, feeds: row.feeds(), clock, onWarning })
    onTestFinished(() => running.close())
    await running.run(['all'])
    return running
  }
  const until = async (isSo: () => Promise<boolean>): Promise<void> => {
    for (let round = 0; round < 1_000; round += 1) {
      if (await isSo()) return
      for (let turn = 0; turn < 3; turn += 1) await setImmediate()
      clock.advance(50)
    }
    throw new Error('it never came to be so')
  }
  return { row, warnings, open, until }
}

test('where its tables have changed the live generation says that it is to be rebuilt, and the rebuilt one goes live', async () => {
  const { row, warnings, open, until } = bench()
  row.add('Done', 'a/1')
  const former = await open(before)
  await until(async () => (await former.status()).state === 'caught up')
  await former.close()

  const projection = await open(after)
  row.add('Done', 'a/1')
  await until(async () => (await projection.status()).state === 'halted')
  const problem = expect.stringMatching(/no such column: extra.*rebuild the projection/) as string
  expect((await projection.status()).trouble).toEqual(problem)
  await expect(projection.query(({ all }) => all.all())).rejects.toMatchObject({
    code: 'ReadModelUnusable',
    message: problem,
  })
  expect(await projection.parked()).toEqual([])

  const rebuilt = projection.rebuilt(await projection.rebuild())
  await until(async () => (await projection.status()).generation === 2)
  expect(await rebuilt).toBe(true)
  await until(async () => (await projection.status()).state === 'caught up')
  expect(await projection.query(({ all }) => all.all().map((found) => ({ ...found })))).toEqual([
    { id: 'a/1/1', extra: 7 },
    { id: 'a/1/2', extra: 7 },
  ])
  expect(warnings.filter((warning) => warning.includes('could not be swapped in'))).toEqual([])
})

test('a rebuild goes live also where the process has been started anew meanwhile, and nothing has come since', async () => {
  const { row, open, until } = bench()
  row.add('Done', 'a/1')
  const former = await open(before)
  await until(async () => (await former.status()).state === 'caught up')
  await former.close()
  let projection = await open(after)
  await projection.pause()
  await projection.rebuild()
  await projection.close()
  projection = await open(after)
  await projection.resume()
  await until(async () => (await projection.status()).generation === 2)
})
