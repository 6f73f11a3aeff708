import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Leases } from '../../src/cluster/leases.ts'
import { examineRedis } from '../../src/platform/redis-examination.ts'
import { openRedisLeases } from '../../src/platform/redis-leases.ts'
import type { RedisSettings } from '../../src/platform/redis-settings.ts'
import { beatOf, held } from '../cluster/leases-contract.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

const unavailable = { code: 'LeasesUnavailable', retryable: true, outcome: 'unknown' }
const hold = [{ shard: 1, worker: 0, epoch: 4 }]
const WAIT = { timeout: 60_000, interval: 50 }

function open(redis: RedisSettings, timeoutMs = 5_000): Leases {
  const leases = openRedisLeases({ name: 'bank', redis, timeoutMs })
  onTestFinished(() => leases.close())
  return leases
}

async function start(...args: Parameters<typeof startRedis>): Promise<RedisProcess> {
  const redis = await startRedis(...args)
  onTestFinished(() => redis.stop())
  return redis
}

async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as net.AddressInfo).port
}

/** A way to a server on which what is under way can get lost, with no word to either side; new connections pass. */
async function startWay(to: number): Promise<{ port: number; swallow(): void }> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((near) => {
    const far = net.connect(to, '127.0.0.1')
    for (const socket of [near, far]) {
      socket.on('error', () => undefined)
      sockets.add(socket)
    }
    near.pipe(far)
    far.pipe(near)
  })
  const port = await listen(server)
  onTestFinished(() => sockets.forEach((socket) => socket.destroy()))
  const swallow = (): void =>
    sockets.forEach((socket) => {
      socket.unpipe()
      socket.resume()
    })
  return { port, swallow }
}

const asserted = (leases: Leases) => vi.waitFor(async () => held(await leases.beat(beatOf('a', { hold }))), WAIT)

test.each<[RedisSettings, string]>([
  ['redis://penhold:s3cret@127.0.0.1:1/3', '127.0.0.1:1'],
  ['rediss://[::1]:1', '[::1]:1'],
  [{ sentinels: ['127.0.0.1:1', 'localhost:2'], name: 'main' }, "127.0.0.1:1, localhost:2 (the Sentinels of 'main')"],
  [{ nodes: ['127.0.0.1:1'], password: 's3cret' }, '127.0.0.1:1 (a Redis Cluster)'],
])('who gets no answer is told where Redis was looked for, and no password: %j', async (redis, address) => {
  const { message } = (await open(redis, 300)
    .look()
    .catch((error: unknown) => error)) as Error
  expect(message).toContain(`Redis at ${address} does not answer: `)
  expect(message).toContain('See that it runs')
  expect(message).not.toContain('s3cret')
})

describe.skipIf(!hasRedis)('a Redis that is not there', () => {
  test('fails each beat with the reason, and is found again, empty, by the same client', async () => {
    const redis = await start()
    const a = open(redis.url)
    expect(held(await a.beat(beatOf('a', { hold })))).toEqual(['1 a 0 4'])
    await redis.kill()
    for (let i = 0; i < 3; i += 1) await expect(a.beat(beatOf('a', { hold }))).rejects.toMatchObject(unavailable)
    await vi.waitFor(() => expect(a.look()).rejects.toThrow('ECONNREFUSED'), WAIT)
    await redis.restart()
    expect(await asserted(a)).toEqual(['1 a 0 4'])
    expect((await a.look())!.isSettling).toBe(true)
  })

  test('is waited for by nobody who starts, and found once it is there', async () => {
    const redis = await start()
    await redis.kill()
    const a = open(redis.url)
    await expect(a.beat(beatOf('a'))).rejects.toMatchObject(unavailable)
    await expect(a.leave('a')).rejects.toMatchObject(unavailable)
    await redis.restart()
    expect(await asserted(a)).toEqual(['1 a 0 4'])
  })

  test('that hangs fails in time, also for those who come then, and all go on when it does', async () => {
    const redis = await start()
    const a = open(redis.url, 300)
    await asserted(a)
    redis.pause()
    await expect(a.beat(beatOf('a', { hold }))).rejects.toMatchObject(unavailable)
    await expect(open(redis.url, 300).look()).rejects.toMatchObject(unavailable)
    for (let i = 0; i < 5; i += 1) await expect(a.look()).rejects.toMatchObject(unavailable)
    const reason = expect.stringMatching(
      `^Redis at 127.0.0.1:${redis.port} does not answer: .*[^.]\\. See that it runs`,
    ) as string
    await expect(open(redis.url.replace('//', '//:s3cret@'), 300).look()).rejects.toMatchObject({ message: reason })
    await expect(examineRedis(redis.url, 300)).rejects.toMatchObject({ message: reason })
    redis.resume()
    expect(await asserted(a)).toEqual(['1 a 0 4'])
  })

  test('and was killed in the middle of an answer has lost the connection, which is all that is said of it', async () => {
    const redis = await start()
    const a = open(redis.url)
    await asserted(a)
    redis.pause()
    const looking = a.look().catch((error: unknown) => error)
    await redis.kill()
    const { message } = (await looking) as Error
    expect(message).toContain('does not answer: the connection was lost. See that it runs')
    await redis.restart()
  })

  test('is given up by closing, and closing waits for nothing', async () => {
    const redis = await start()
    const a = openRedisLeases({ name: 'bank', redis: redis.url, timeoutMs: 60_000 })
    await a.beat(beatOf('a', { hold }))
    redis.pause()
    const beat = expect(a.beat(beatOf('a', { hold }))).rejects.toThrow('the connection was closed')
    await a.close()
    await beat
    redis.resume()
  })

  test('fails what is under way as soon as its connection breaks', async () => {
    const redis = await start()
    // Longer than this test may take.
    const a = open(redis.url, 150_000)
    await a.beat(beatOf('a', { hold }))
    redis.pause()
    const beat = expect(a.beat(beatOf('a', { hold }))).rejects.toMatchObject(unavailable)
    await redis.kill()
    await beat
  })

  test('that is gone without a word is looked for anew', async () => {
    const redis = await start()
    const way = await startWay(redis.port)
    const a = open(`redis://127.0.0.1:${way.port}`, 200)
    await asserted(a)
    way.swallow()
    await expect(a.look()).rejects.toMatchObject(unavailable)
    expect(await asserted(a)).toEqual(['1 a 0 4'])
  })

  test('that repeats a password in its complaint is not repeated', async () => {
    const way = net.createServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (data) =>
        socket.write(`-ERR unknown command, with args: ${data.toString().split('\r\n').join(' ')}\r\n`),
      )
    })
    const port = await listen(way)
    const a = open(`redis://:se%24cret@127.0.0.1:${port}`)
    await expect(a.look()).rejects.toThrow(/with args: .*auth .*\*\*\*/)
    await expect(a.look()).rejects.not.toThrow('se$cret')
  })

  test('that refuses the password says so, and does not repeat it', async () => {
    const redis = await start(['requirepass right-secret'])
    const a = open({ url: `redis://:wrong-secret@127.0.0.1:${redis.port}` })
    const failure: unknown = await a.beat(beatOf('a')).catch((error: unknown) => error)
    expect(failure).toMatchObject({ ...unavailable, message: expect.stringContaining('WRONGPASS') as string })
    expect(JSON.stringify(failure) + String((failure as Error).stack)).not.toContain('wrong-secret')
    expect((failure as Error).cause).toBeUndefined()
    await open({ url: redis.url, password: 'right-secret' }).beat(beatOf('a'))
  })

  test('that answers and does not let the process in is not said to be away: the message tells what to give', async () => {
    const redis = await start(['requirepass right-secret', 'user reader on >some-secret ~* +ping'])
    const said = `^Redis at 127.0.0.1:${redis.port} does not let this process in: %. Give .* redis://user:password@host`
    for (const [user, reason] of [
      ['', 'NOAUTH .*'],
      [':wrong-secret@', 'WRONGPASS .*'],
      ['reader:some-secret@', 'NOPERM .*'],
    ] as const) {
      const url = redis.url.replace('//', `//${user}`)
      const message = expect.stringMatching(said.replace('%', reason)) as string
      await expect(open(url).look()).rejects.toMatchObject({ ...unavailable, message })
      // It waits out its time where it is not let in: a short one, which may be too short now and then.
      const examined = () => expect(examineRedis(url, 300)).rejects.toMatchObject({ ...unavailable, message })
      await vi.waitFor(examined, WAIT)
    }
  })
})

test.skipIf(!hasRedis)('a database that Redis does not have is asked for, and no other is written to', async () => {
  const redis = await start(['databases 4'])
  const url = `${redis.url}/4`
  const message = expect.stringMatching('does not give the database that was asked for .ERR DB index') as string
  await expect(open(url).beat(beatOf('a'))).rejects.toMatchObject({ ...unavailable, message })
  await expect(examineRedis(url, 5_000)).rejects.toMatchObject({ ...unavailable, message })
  await redis.kill()
  await redis.restart()
  await expect(open(url).beat(beatOf('a'))).rejects.toMatchObject(unavailable)
  expect(await redis.admin.dbsize()).toBe(0)
})

describe.skipIf(!hasRedis)('Redis is found', () => {
  test('in another database, by a URL with everything in it', async () => {
    const redis = await start(['user penhold on >pass%word ~* +@all'])
    await open(`redis://penhold:pass%25word@127.0.0.1:${redis.port}/3`).beat(beatOf('a'))
    expect(await redis.admin.dbsize()).toBe(0)
    await redis.admin.select(3)
    expect(await redis.admin.keys('*')).toContain('{penhold:bank}:members')
  })

  test('as a Redis Cluster', async () => {
    const redis = await start(['cluster-enabled yes', 'cluster-announce-ip 127.0.0.1'])
    await redis.admin.cluster('ADDSLOTSRANGE', 0, 16383)
    const a = open({ nodes: [`127.0.0.1:${redis.port}`] })
    expect(await asserted(a)).toEqual(['1 a 0 4'])
    expect(held((await a.look())!)).toEqual(['1 a 0 4'])
    await a.leave('a')
    await redis.kill()
    await expect(a.beat(beatOf('a', { hold }))).rejects.toMatchObject(unavailable)
  })

  test('through Sentinels', async () => {
    const redis = await start()
    const sentinel = await start([`sentinel monitor main 127.0.0.1 ${redis.port} 1`], 'sentinel')
    const a = open({ sentinels: [`127.0.0.1:${sentinel.port}`], name: 'main' })
    expect(await asserted(a)).toEqual(['1 a 0 4'])
    expect(await redis.admin.exists('{penhold:bank}:members')).toBe(1)
    const stranger = open({ sentinels: [`127.0.0.1:${sentinel.port}`], name: 'unknown' }, 300)
    await expect(stranger.look()).rejects.toMatchObject(unavailable)
  })

  const canEncrypt = spawnSync('openssl', ['version']).status === 0
  test.skipIf(!canEncrypt)('through TLS, by an authority that is known', async () => {
    const folder = temporaryFolder()
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name)) as [string, string]
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    const args = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ]
    expect(spawnSync('openssl', args).status).toBe(0)
    const files = [`tls-cert-file ${cert}`, `tls-key-file ${key}`, `tls-ca-cert-file ${cert}`, 'tls-auth-clients no']
    const { port } = await start(files, 'encrypted')
    const url = `rediss://127.0.0.1:${port}`
    expect(await asserted(open({ url, tls: { ca: fs.readFileSync(cert) } }))).toEqual(['1 a 0 4'])
    await expect(open(url).look()).rejects.toMatchObject(unavailable)
    await expect(open({ url: `redis://127.0.0.1:${port}` }, 300).look()).rejects.toMatchObject(unavailable)
  })
})

describe('settings for Redis that cannot work are refused at once, and no secret is shown', () => {
  const wrong: readonly (readonly [what: string, settings: unknown])[] = [
    ['it is undefined', undefined],
    ['it is 6379', 6379],
    ['does not say where', { password: 'secret' }],
    ['both url and nodes', { url: 'redis://host', nodes: ['host:1'] }],
    ["no setting 'passwort' beside url; the nearest is 'password'", { url: 'redis://host', passwort: 'secret' }],
    ['does not begin with redis://; give redis://', 'host:secret'],
    ['does not begin with redis://; give redis://', 'http://user:secret@host'],
    ['none that can be used', 'redis://user:secret@:6379'],
    ['behind host:1 the url has more than the number of a database', 'redis://user:secret@host:1/main'],
    ['behind host the url has more than the number of a database', 'redis://user:secret@host?db=secret'],
    ['percent-encoded', 'redis://user:secret%@host'],
    ['url is no text', { url: 7 }],
    ['password is no text', { url: 'redis://host', password: '' }],
    ['name of their group', { sentinels: ['host:1'] }],
    ["sentinels is no list with something in it; give a list of 'host:port'", { sentinels: [], name: 'main' }],
    ["nodes[1] is no 'host:port'", { nodes: ['host:1', 'redis://user:secret@host:1'] }],
  ]
  test.each(wrong)('%s', (what, settings) => {
    let failure: unknown
    try {
      openRedisLeases({ name: 'bank', redis: settings as RedisSettings, timeoutMs: 1000 })
    } catch (error) {
      failure = error
    }
    expect(failure).toMatchObject({ code: 'BadDefinition', message: expect.stringContaining(what) as string })
    expect(String((failure as Error).stack)).not.toContain('secret@')
    expect((failure as Error).message.replace('user:password@', '')).not.toMatch(/secret/)
  })
})
