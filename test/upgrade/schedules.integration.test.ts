/** Schedules of today's code beside a node of the version before, which knows none: they wait where it owns their record. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { defineCluster, defineSchedule, startNode, type Node } from '../../src/index.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'
import config, { Journal } from './cluster.config.ts'
import { unpackPrevious } from './previous.ts'
import type { Start, Told } from './process.ts'

const WAIT = { timeout: 60_000, interval: 100 }
/** Enough that both nodes own the records of some. */
const NAMES = Array.from({ length: 24 }, (_, i) => `s${i}`)

const schedules = NAMES.map((name) =>
  defineSchedule({
    name,
    cron: '* * * * * *',
    missed: 'skip',
    aggregate: Journal,
    id: name,
    command: 'write',
    // Whoever writes is another each time, so that no order is wrong: what is written twice would be refused.
    payload: ({ time }) => ({ by: time.toISOString(), nth: 1 }),
  }),
)

/** A node of the version before, once it serves shards; told to end it ends. */
async function startOld(overrides: Start['overrides']): Promise<() => Promise<void>> {
  const child = fork(join(unpackPrevious(), 'process.ts'), { execArgv: [], serialization: 'advanced' })
  onTestFinished(() => void child.kill('SIGKILL'))
  const serving = new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`it ended with ${code}`)))
    child.on('message', (told: Told) => {
      if (told.kind === 'written' && told.shards === config.shards) resolve()
    })
  })
  child.send({ kind: 'node', name: 'old', journals: [], overrides: { ...overrides, nodeName: 'old' } } satisfies Start)
  await serving
  return async () => {
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }
}

test.skipIf(!hasRedis)(
  'beside an older node schedules run whose record it does not own, the others wait for it to go, and are begun then',
  { timeout: 240_000 },
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const shared = { dataDir: temporaryFolder(), redis: redis.url }
    const endOld = await startOld(shared)
    const warnings: string[] = []
    const onWarning = (message: string): void => void warnings.push(message)
    const node = await startNode(defineCluster({ ...config, ...shared, workers: 'inline', schedules, onWarning }))
    onTestFinished(() => node.close())

    await vi.waitFor(async () => expect((await begun(node)).length).toBeGreaterThan(0), WAIT)
    await vi.waitFor(() => {
      const told = warnings.filter((each) => each.startsWith('the schedules could not be begun, and are tried again'))
      expect(told).toEqual([expect.stringContaining("the node 'old' (127.0.0.1:")])
    }, WAIT)
    expect((await begun(node)).length).toBeLessThan(NAMES.length)

    await endOld()
    await vi.waitFor(async () => expect(await begun(node)).toEqual(NAMES), WAIT)
    // Nothing that was due meanwhile was given up, and nothing was done twice.
    expect(await node.reactor({ name: '$timer-commands' }).parked()).toEqual([])
    for (const name of NAMES) {
      const times = Object.values((await node.ref(Journal, name).state()).entries)
      expect(new Set(times), name).toEqual(new Set([1]))
    }
  },
)

/** Those that have run. */
async function begun(node: Node): Promise<readonly string[]> {
  const states = await Promise.all(NAMES.map((name) => node.ref(Journal, name).state()))
  return NAMES.filter((_, i) => Object.keys(states[i]!.entries).length > 0)
}
