import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { connect } from '../../src/index.ts'
import { Account } from '../account.ts'
import { startCliNode } from '../cli-node.ts'
import { runCli, type Said } from '../cli-run.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

const source = (path: string): string => JSON.stringify(join(import.meta.dirname, '../..', path))
/** A machine may stall for seconds, in which a node does not say how it is. */
const WAIT = { timeout: 60_000 }

/** A cluster with an inbox and a process, and no reactor. */
function configOf(folder: string, messages: string): string {
  const config = join(folder, 'cluster.config.ts')
  fs.writeFileSync(
    config,
    `import { defineCluster, defineInbox, defineProcess, redisStreamSource } from ${source('src/index.ts')}
     import { Account } from ${source('test/account.ts')}
     const payments = defineInbox({
       name: 'payments', startAt: 'beginning', to: [Account],
       source: redisStreamSource({ redis: '${messages}', stream: 'paid', timeoutMs: 2_000 }),
       map: ({ fields: { account, amount } }) => {
         if (account === undefined) throw new Error('it has\\nno account')
         const command = account === 'ben' ? 'withdraw' : 'deposit'
         return { aggregate: Account, id: account, command, payload: { amount: Number(amount) } }
       },
     })
     const savings = defineProcess({
       type: 'savings', from: [Account], startAt: 'beginning', initialState: () => 0,
       correlate: { MoneyDeposited: ({ stream }) => stream.split("/")[1] }, on: { MoneyDeposited: () => undefined },
     })
     export default defineCluster({ name: 'taking', aggregates: [Account], processes: [savings], inboxes: [payments], dataDir: 'data', workers: 1, shards: 4, timeouts: { leaseMs: 10_000 } })`,
  )
  return config
}

test.skipIf(!hasRedis)('penhold reactors, status and parked, of an inbox', { timeout: 240_000 }, async () => {
  const [redis, messages] = await Promise.all([startRedis(), startRedis()])
  try {
    const config = configOf(temporaryFolder(), messages.url)
    const environment = { ...process.env, PENHOLD_REDIS: redis.url }
    for (const name of ['first', 'second'])
      await startCliNode({ config, environment: { ...environment, PENHOLD_NODE_NAME: name } })
    vi.stubEnv('PENHOLD_REDIS', redis.url)
    const penhold = (...words: string[]): Promise<Said> => runCli(...words, '--config', config)
    const json = async <Answer>(...words: string[]): Promise<Answer> =>
      JSON.parse((await penhold(...words, '--json')).out) as Answer
    await using client = await connect(new URL(`file://${config}`), { redis: redis.url })
    const balance = (id: string) => client.ref(Account, id).query('balance')
    const pay = async (...fields: readonly string[]): Promise<string> =>
      (await messages.admin.xadd('paid', '*', ...fields))!
    const lost = await pay('amount', '1')
    const [first, behind] = [await pay('account', 'ben', 'amount', '2'), await pay('account', 'ben', 'amount', '3')]
    await pay('account', 'anna', 'amount', '4')
    await expect.poll(() => balance('anna'), WAIT).toBe(4)

    // What is parked, and why.
    const list = () => json<{ readonly parked: readonly object[] }>('parked', 'list', 'payments')
    await expect.poll(list, WAIT).toMatchObject({
      inbox: 'payments',
      isWhole: true,
      parked: [
        { id: lost, stream: '', reason: 'Error: it has\nno account' },
        { id: first, stream: 'account/ben', reason: 'rejected: insufficient-funds' },
        { id: behind, stream: 'account/ben', reason: '' },
      ],
    })
    expect((await list()).parked[0]).not.toHaveProperty('fields')
    const table = (await penhold('parked', 'list', 'inbox:payments')).out
    expect(table).toMatch(new RegExp(String.raw`^${lost} +\? +\S+ +Error: it has no account$`, 'm'))
    expect(table).toMatch(new RegExp(`^${first} +account/ben +\\S+ +rejected: insufficient-funds$`, 'm'))
    expect(table).toContain('(waits behind another one of its aggregate)')
    expect((await penhold('parked', 'show', 'payments', '--message', first)).out).toMatch(
      /^account +ben\namount +2\n\nrejected: insufficient-funds$/m,
    )
    expect(await json('parked', 'show', 'payments', '--message', lost)).toMatchObject({ fields: { amount: '1' } })
    expect(await json('parked', 'show', 'payments', '--stream', 'account/ben')).toMatchObject({
      messages: [{ id: first }, { id: behind }],
    })
    expect(await penhold('parked', 'show', 'payments', '--stream', 'account/anna')).toMatchObject({
      code: 1,
      err: expect.stringContaining('nothing for account/anna is parked by inbox payments') as string,
    })

    // How it is.
    const inboxOf = async (command: 'reactors' | 'status'): Promise<unknown> =>
      (await json<{ readonly inboxes: readonly unknown[] }>(command)).inboxes[0]
    for (const command of ['reactors', 'status'] as const) {
      await expect
        .poll(() => inboxOf(command), WAIT)
        .toMatchObject({ name: 'payments', node: expect.stringMatching(/first|second/) as string, parked: 3 })
      const parked = 'inbox payments has parked 3 messages: penhold parked list inbox:payments'
      await expect
        .poll(() => penhold(command), WAIT)
        .toMatchObject({ code: 0, err: '', out: expect.stringContaining(parked) as string })
    }
    const picture = async () => (await penhold('reactors')).out
    await expect.poll(picture, WAIT).toMatch(/^payments +(first|second) +running +3 +0 +0 +\d+-\d+$/m)
    await expect.poll(picture, WAIT).toMatch(/^account\/MoneyDeposited +savings.told +process +asynchronous +park$/m)
    await expect.poll(picture, WAIT).toMatch(/^savings.sent +process /m)

    // What is meant has to be said.
    expect(
      await penhold('parked', 'skip', 'payments', '--stream', 'account/ben', '--version', '1', '--reason', 'x'),
    ).toMatchObject({ code: 2, err: expect.stringContaining('name a message, with --message') as string })
    expect(await penhold('parked', 'retry', 'savings.told', '--message', first)).toMatchObject({
      code: 2,
      err: expect.stringContaining('--message is for inboxes') as string,
    })
    expect(await penhold('parked', 'list', 'payment')).toMatchObject({
      code: 1,
      err: expect.stringContaining("the nearest is 'payments'") as string,
    })
    expect(await penhold('parked', 'retry', 'inbox:payment')).toMatchObject({
      code: 1,
      err: expect.stringContaining("no inbox 'payment', the nearest is 'payments'") as string,
    })

    // Tried again, and given up.
    const again = await penhold('parked', 'retry', 'payments')
    expect(again).toMatchObject({ code: 1, out: '0 streams flow again\n' })
    expect(again.err.split('\n').filter((line) => line.includes('failed again'))).toHaveLength(2)
    expect(again.err).toContain(`message ${first} failed again: rejected: insufficient-funds; mend`)
    const reason = ['--reason', 'it is for nobody'] as const
    expect(await penhold('parked', 'skip', 'payments', '--message', lost, ...reason)).toMatchObject({
      code: 0,
      out: `message ${lost} is skipped\n`,
    })
    expect(await penhold('parked', 'skip', 'payments', '--message', lost, ...reason)).toMatchObject({
      code: 1,
      err: expect.stringContaining('MessageNotParked') as string,
    })
    await client.ref(Account, 'ben').ask('deposit', { amount: 7 })
    // The one that waits behind another is tried behind it.
    expect(await json('parked', 'retry', 'payments', '--message', behind)).toMatchObject({ streams: 1, failed: [] })
    expect(await balance('ben')).toBe(2)
    expect((await penhold('parked', 'list', 'payments')).out).toBe('nothing is parked\n')

    // Where its messages come from is gone.
    await messages.kill()
    await expect
      .poll(() => inboxOf('reactors'), WAIT)
      .toMatchObject({ state: 'waiting', trouble: expect.stringContaining(`127.0.0.1:${messages.port}`) as string })
    for (const command of ['reactors', 'status']) {
      const waits = /inbox payments waits since \d+ s, and tries again: Redis at/
      await expect.poll(async () => (await penhold(command)).out, WAIT).toMatch(waits)
    }
  } finally {
    vi.unstubAllEnvs()
    await Promise.all([redis.stop(), messages.stop()])
  }
})
