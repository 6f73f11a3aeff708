import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { connect } from '../../src/index.ts'
import { Account } from '../account.ts'
import { startCliNode } from '../cli-node.ts'
import { runCli, type Said } from '../cli-run.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

/** A machine may stall for seconds, in which a node does not say how it is. */
const WAIT = { timeout: 60_000 }
const source = (path: string): string => JSON.stringify(join(import.meta.dirname, '../..', path))

test.skipIf(!hasRedis)('penhold reactors and parked, of a cluster of two', { timeout: 240_000 }, async () => {
  const redis = await startRedis()
  try {
    const folder = temporaryFolder()
    const [config, refused] = [join(folder, 'cluster.config.ts'), join(folder, 'refused')]
    fs.writeFileSync(refused, '')
    fs.writeFileSync(
      config,
      `import fs from 'node:fs'
       import { defineCluster, defineOutbox, defineReactor, defineSchedule } from ${source('src/index.ts')}
       import { Account } from ${source('test/account.ts')}
       const mails = defineReactor({
         name: 'mails', from: [Account], startAt: 'beginning', retries: 0, mode: 'synchronous',
         on: { MoneyDeposited: ({ stream, version }) => {
           if (stream !== 'account/ben') return
           if (fs.existsSync('${refused}')) throw new Error('the server refuses it')
           fs.appendFileSync('${join(folder, 'sent')}', version + ' ')
         } },
       })
       const outbox = (name, more) => defineOutbox({
         name, from: [Account], startAt: 'beginning', map: { MoneyDeposited: () => ({ type: 'deposited' }) },
         publisher: async () => { throw new Error('nobody takes them') }, ...more,
       })
       const outboxes = [outbox('away', {}), outbox('elsewhere', { runs: 'apart' })]
       const yearly = defineSchedule({ name: 'yearly', cron: '@yearly', missed: 'once', aggregate: Account, id: 'ben', command: 'deposit', payload: { amount: 1 } })
       export default defineCluster({ name: 'mailing', aggregates: [Account], reactors: [mails], schedules: [yearly], outboxes, dataDir: 'data', workers: 1, shards: 8, timeouts: { leaseMs: 10_000 } })`,
    )
    const environment = { ...process.env, PENHOLD_REDIS: redis.url }
    for (const name of ['first', 'second'])
      await startCliNode({ config, environment: { ...environment, PENHOLD_NODE_NAME: name } })
    vi.stubEnv('PENHOLD_REDIS', redis.url)
    const penhold = (...words: string[]): Promise<Said> => runCli(...words, '--config', config)
    const json = async (...words: string[]): Promise<unknown> => JSON.parse((await penhold(...words, '--json')).out)
    await using client = await connect(new URL(`file://${config}`), { redis: redis.url })
    const ben = client.ref(Account, 'ben')
    for (let n = 0; n < 3; n += 1) await ben.ask('deposit', { amount: 1 })
    await client.ref(Account, 'anna').ask('deposit', { amount: 1 })

    await expect
      .poll(() => json('parked', 'list', 'mails'), WAIT)
      .toMatchObject({
        parked: [{ stream: 'account/ben', version: 1, reason: 'Error: the server refuses it' }],
      })
    expect((await penhold('parked', 'list', 'mails')).out).toContain('the server refuses it')
    expect(await json('parked', 'show', 'mails', '--stream', 'account/ben')).toMatchObject({
      events: [{ version: 1 }, { version: 2 }, { version: 3 }],
    })
    const again = await penhold('parked', 'retry', 'mails')
    expect(again).toMatchObject({ code: 1, err: expect.stringContaining('failed again') as string })
    const skip = [
      'parked',
      'skip',
      'mails',
      '--stream',
      'account/ben',
      '--reason',
      'by telephone',
      '--version',
    ] as const
    expect(await penhold(...skip, '2')).toMatchObject({ code: 1, err: expect.stringContaining('version 1') as string })
    expect(await penhold(...skip, '1')).toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /^version 1 of account\/ben is skipped; what waits behind it goes on with: /,
      ) as string,
    })
    fs.rmSync(refused)
    expect(await json('parked', 'retry', 'mails', '--stream', 'account/ben')).toMatchObject({ streams: 1, failed: [] })
    expect(fs.readFileSync(join(folder, 'sent'), 'utf8')).toBe('2 3 ')
    expect((await penhold('parked', 'list', 'mails')).out).toBe('nothing is parked\n')

    const mails = async (): Promise<unknown> => ((await json('reactors')) as { reactors: unknown[] }).reactors[0]
    await expect.poll(mails, WAIT).toMatchObject({ state: 'caught up', shards: 8, parkedStreams: 0 })
    expect(await penhold('reactor', 'pause', 'mails')).toMatchObject({ code: 0 })
    await expect.poll(mails, WAIT).toMatchObject({ state: 'paused' })
    await ben.ask('deposit', { amount: 1 })
    expect(await penhold('reactor', 'resume', 'mails')).toMatchObject({ code: 0, out: 'mails goes on\n' })
    await expect.poll(() => fs.readFileSync(join(folder, 'sent'), 'utf8'), WAIT).toBe('2 3 4 ')
    await expect
      .poll(async () => (await penhold('reactors')).out, WAIT)
      .toMatch(/account\/MoneyDeposited +mails +reactor +synchronous +park/)
    // What a process of its own runs is missed by no node; what waits is told with its reason.
    await expect
      .poll(() => penhold('reactors'), WAIT)
      .toMatchObject({ code: 0, err: '', out: expect.stringMatching(/elsewhere +outbox +apart/) as string })
    expect(await json('reactors')).toMatchObject({ schedules: [{ name: 'yearly', state: 'running' }] })
    expect((await penhold('reactors')).out).toMatch(
      /yearly +running +@yearly +UTC +once +20\d\d-01-01T00:00:00.000Z +-/,
    )
    // Shards may have moved on a machine that stalls: who waits there is looked at now and then.
    const told = /outbox away waits in [12] shards? since \d+ s, and tries again: Error: nobody takes them/
    await expect.poll(async () => (await penhold('reactors')).out, WAIT).toMatch(told)
    expect(await penhold('reactor', 'pause', 'mail')).toMatchObject({
      code: 1,
      err: expect.stringContaining("the nearest is 'mails'") as string,
    })
  } finally {
    vi.unstubAllEnvs()
    await redis.stop()
  }
})
