import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import {
  defineInbox,
  defineOutbox,
  redisStreamSource,
  webhookPublisher,
  type OutboxMessage,
  type Publish,
} from '../src/index.ts'
import { Account } from './account.ts'
import { cli } from './cli-node.ts'
import { ACCOUNT, filesOf, readPage, writeRunnable } from './documented.ts'
import { hasRedis, startRedis } from './redis-server.ts'
import { temporaryFolder } from './temporary.ts'

const page = filesOf('docs/outbox.md')

/** A folder with the page's files, and what it takes for granted. */
function project(more = ''): string {
  const folder = temporaryFolder()
  writeRunnable(folder, {
    ...page,
    'account.ts': ACCOUNT,
    'cluster.config.ts': `import { defineCluster } from 'penhold'
      import { Account } from './account.ts'
      import { Payments } from './inboxes.ts'
      import { Deposits } from './outboxes.ts'
      import { Prices } from './publish.ts'
      const outside = { inboxes: [Payments], outboxes: [Deposits, Prices] }
      export default defineCluster({ name: 'bank', aggregates: [Account], ...outside, dataDir: 'data', workers: 1, shards: 4 })`,
    'main.ts': `${page['main.ts']}${more}`,
    'package.json': '{ "type": "module" }',
  })
  return folder
}

const until = `
  const until = async (isSo) => { while (!(await isSo())) await setTimeout(20) }`

test.skipIf(!hasRedis)(
  'docs/outbox.md: its outboxes publish, its inbox takes, and what it parks is skipped',
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    await redis.admin.xadd('payments', '*', 'payment', 'p-1', 'account', 'ben', 'euros', '7')
    await redis.admin.xadd('payments', '*', 'payment', 'p-1', 'account', 'ben', 'euros', '7')
    await redis.admin.xadd('payments', '*', 'other', 'message')
    const folder = project(`
    import { changePrice, Prices } from './publish.ts'
    ${until}
    await until(async () => (await node.ref(Account, 'ben').query('balance')) === 7)
    await changePrice(node.store, '978-0', 1250)
    await until(async () => (await node.outbox(Prices).status()).events === 1)
    await until(async () => (await inbox.status()).place !== '0-0' && (await node.outbox(Deposits).status()).events === 2)`)
    const options = { cwd: folder, encoding: 'utf8', env: { ...process.env, REDIS_URL: redis.url } } as const
    const said = execFileSync(process.execPath, ['main.ts'], options).trim().split('\n')
    expect(said[0]).toBe('payments running 0 undefined')
    expect(said[1]).toMatch(/^(running|caught up|waiting)$/)
    expect(said.slice(2)).toEqual(['978-0: {"isbn":"978-0","cents":1250}'])
    const entries = await redis.admin.xrange('deposits', '-', '+')
    const events = entries.map(([, fields]) => JSON.parse(fields[5]!) as Record<string, unknown>)
    const sent = events.map(({ type, stream, data }) => ({ type, stream, data }))
    expect(sent.toSorted((a, b) => (String(a.stream) < String(b.stream) ? -1 : 1))).toEqual([
      { type: 'com.example.deposited', stream: 'account/anna', data: { cents: 500 } },
      { type: 'com.example.deposited', stream: 'account/ben', data: { cents: 700 } },
    ])
    // Its command, of which there is nothing left to publish.
    const command = [cli, 'outbox', 'deposits', '--once', '--config', join(folder, 'cluster.config.ts')]
    expect(execFileSync(process.execPath, command, options)).toBe(
      'outbox deposits has published what was there, of 0 events\n',
    )
    expect(fs.existsSync(join(folder, 'data'))).toBe(true)
  },
)

test('docs/outbox.md: its own publisher keeps the promise of publishers', () => {
  execFileSync(process.execPath, ['publisher.test.ts'], { cwd: project(), stdio: 'pipe' })
})

test('docs/outbox.md: its publisher that is asked to slow down leaves the broker alone', async () => {
  let [tries, published] = [0, 0]
  const broker = http.createServer((_incoming, outgoing) => {
    outgoing.writeHead((tries += 1) === 2 ? 429 : 200, { 'retry-after': '60' }).end()
  })
  onTestFinished(() => void broker.close())
  await once(broker.listen(0, '127.0.0.1'), 'listening')
  const folder = project()
  vi.stubEnv('BROKER_URL', `http://127.0.0.1:${(broker.address() as AddressInfo).port}`)
  onTestFinished(() => void vi.unstubAllEnvs())
  const { toBroker } = (await import(join(folder, 'slow-publisher.ts'))) as { toBroker: Publish }
  // So that none of the 60 s passes.
  vi.useFakeTimers({ toFake: ['Date'] })
  onTestFinished(() => void vi.useRealTimers())
  const messages = ['{"a":1}', '{"a":2}', '{"a":3}'].map((json) => ({ json }) as OutboxMessage)
  const publishing = { signal: new AbortController().signal, published: () => void (published += 1) }
  await expect(toBroker(messages, publishing)).rejects.toThrow('the broker answered 429')
  expect(published).toBe(1)
  await expect(toBroker(messages.slice(1), publishing)).rejects.toThrow(
    'the broker takes no messages: it wants to be left alone for 60 s',
  )
  expect(tries).toBe(2)
})

test('docs/outbox.md: the publisher to a webhook is one', async () => {
  const folder = project()
  const { toPartner } = (await import(join(folder, 'webhook.ts'))) as { toPartner: ReturnType<typeof webhookPublisher> }
  await toPartner.open('x').close()
})

/** By name, what a table of the page says is the default. */
function defaultsIn(section: string): Record<string, string> {
  const [, text] = new RegExp(`^## ${section}\\n(.*?)(?=^## |$(?![^]))`, 'ms').exec(readPage('docs/outbox.md'))!
  return Object.fromEntries(
    [...text!.matchAll(/^\| `(\w+)` +\| (.*?) *\|/gm)].map(([, name, value]) => [name!, value!]),
  )
}

function shown(defined: object, given: object): Record<string, string> {
  const show = (value: unknown): string =>
    typeof value === 'number' ? value.toLocaleString('en-US') : `\`'${String(value)}'\``
  return Object.fromEntries(Object.entries(defined).map(([name, value]) => [name, name in given ? '' : show(value)]))
}

test('docs/outbox.md lists the options there are, with their defaults', () => {
  const map = { MoneyDeposited: () => undefined }
  const outbox = { name: 'x', startAt: 'now', from: [Account], map, publisher: async () => undefined } as const
  expect(defaultsIn('Options')).toEqual({ ...shown(defineOutbox(outbox), outbox), source: '`urn:penhold:` name' })
  const source = redisStreamSource({ redis: 'redis://localhost', stream: 'x' })
  const inbox = { name: 'x', startAt: 'now', to: [Account], source, map: () => undefined } as const
  expect(defaultsIn('Inbox')).toEqual(shown(defineInbox(inbox), inbox))
})
