import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connect, type Client } from '../src/index.ts'
import { run } from '../src/cli/run.ts'
import { withProjections } from '../src/cli/projection-cluster.ts'
import { shownOf, toJson } from '../src/cli/projection-picture.ts'
import { Account } from './account.ts'
import { hasRedis, startRedis } from './redis-server.ts'
import { temporaryFolder } from './temporary.ts'

const page = fs.readFileSync(join(import.meta.dirname, '../docs/operations.md'), 'utf8')
const main = join(import.meta.dirname, '../src/cli/main.ts')
const source = new URL('..', import.meta.url).href

interface Said {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Nodes of a cluster with one projection that refuses what its file `refused` names. */
class Bank {
  readonly folder = temporaryFolder()
  readonly refused = join(this.folder, 'refused')
  /** While it is there, handlers wait. */
  readonly slow = join(this.folder, 'slow')
  readonly config = join(this.folder, 'cluster.config.ts')
  readonly #environment: NodeJS.ProcessEnv

  constructor(redis: string) {
    this.#environment = { ...process.env, PENHOLD_REDIS: redis }
    fs.writeFileSync(
      this.config,
      `import fs from 'node:fs'
       import { setTimeout as delay } from 'node:timers/promises'
       import { defineCluster, defineProjection, redisStore } from '${source}src/index.ts'
       import { Account } from '${source}test/account.ts'
       const Balances = defineProjection({
         name: 'balances',
         from: [Account],
         store: redisStore({ redis: '${redis}' }),
         onFailure: 'park',
         retries: 0,
         batchMax: 2,
         on: {
           MoneyDeposited: async ({ stream, data }, { key, write }) => {
             while (fs.existsSync('${this.slow}')) await delay(20)
             if (fs.existsSync('${this.refused}') && fs.readFileSync('${this.refused}', 'utf8').includes(stream)) {
               throw new Error('it is refused')
             }
             write('hincrby', key('balances'), stream, data.amount)
           },
         },
       })
       export default defineCluster({
         name: 'ops-${this.folder.split('-').at(-1)}', aggregates: [Account], projections: [Balances], dataDir: 'data', workers: 1,
         shards: 4, timeouts: { leaseMs: 2_000 }, redis: '${redis}',
       })`,
    )
  }

  async start(name: string, nodes: Map<string, ChildProcess>): Promise<void> {
    const child = spawn(process.execPath, [main, 'start', '--config', this.config], {
      env: { ...this.#environment, PENHOLD_NODE_NAME: name },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    onTestFinished(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    })
    let said = ''
    child.stderr.on('data', (data) => (said += String(data)))
    const [line] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [unknown]
    expect(`${String(line)}${said}`).toContain('serves with')
    nodes.set(name, child)
  }

  /** A line as the page has it. */
  run(line: string): Said {
    const command = line.replace(/^penhold/, `'${process.execPath}' '${main}'`)
    const options = { cwd: this.folder, env: this.#environment, encoding: 'utf8', timeout: 60_000 } as const
    const { status: code, stdout: out, stderr: err } = spawnSync('sh', ['-c', command], options)
    return { code, out, err }
  }

  /** The same within this process, which takes a tenth of the time: words with blanks between them. */
  async ask(line: string): Promise<Said> {
    const said = { out: '', err: '' }
    const terminal = {
      out: (text: string): void => void (said.out += `${text}\n`),
      err: (text: string): void => void (said.err += `${text}\n`),
      isWatched: false,
      isScreen: false,
    }
    const words = line.split(' ').slice(1)
    const code = await run([...words, '--config', this.config], terminal, new AbortController().signal)
    return { code, ...said }
  }

  spawn(...words: string[]): ChildProcess {
    const child = spawn(process.execPath, [main, 'projection', ...words], { cwd: this.folder, env: this.#environment })
    onTestFinished(() => void child.kill('SIGKILL'))
    return child
  }

  /** What its nodes say of it, as `penhold projection list` has it. */
  async balances(): Promise<Record<string, unknown>> {
    let shown: readonly object[] = []
    await withProjections({ config: this.config }, new AbortController().signal, async (cluster) => {
      shown = toJson(shownOf(await cluster.look()))
      return 0
    })
    return shown[0] as Record<string, unknown>
  }

  /** One property of that. */
  async has(key: string): Promise<unknown> {
    return (await this.balances())[key]
  }
}

const deposit = async (client: Client, account: string, times: number): Promise<void> => {
  for (let i = 0; i < times; i += 1) await client.ref(Account, account).ask('deposit', { amount: 1 })
}

async function output(child: ChildProcess): Promise<Said> {
  const said = { out: '', err: '' }
  child.stdout!.on('data', (data) => (said.out += String(data)))
  child.stderr!.on('data', (data) => (said.err += String(data)))
  const [code] = (await once(child, 'exit')) as [number | null]
  return { code, ...said }
}

async function openBank(): Promise<{ bank: Bank; client: Client; nodes: Map<string, ChildProcess> }> {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const bank = new Bank(redis.url)
  const nodes = new Map<string, ChildProcess>()
  await bank.start('first', nodes)
  await bank.start('second', nodes)
  const client = await connect(bank.config, { redis: redis.url })
  onTestFinished(() => client.close())
  return { bank, client, nodes }
}

const WAIT = { timeout: 30_000, interval: 100 }

describe.skipIf(!hasRedis)('docs/operations.md: projections', () => {
  test('its commands do what it says, one after the other', { timeout: 300_000 }, async () => {
    const { bank, client } = await openBank()
    await deposit(client, 'anna', 5)
    await expect.poll(() => bank.has('state'), WAIT).toBe('caught up')
    const park = async (): Promise<void> => {
      fs.writeFileSync(bank.refused, 'account/ben')
      await deposit(client, 'ben', 3)
      await expect.poll(() => bank.has('parkedStreams'), WAIT).toBe(1)
    }
    interface Step {
      readonly before?: () => Promise<unknown> | void
      readonly out: RegExp
      readonly after?: () => Promise<unknown> | void
      readonly code?: number
    }
    const steps: Readonly<Record<string, Step>> = {
      list: { out: /^PROJECTION +NODE .*\nbalances +(first|second) +1 +caught up +0 ms +0 +-\n$/ },
      'status balances': { out: /^balances\n {2}node +(first|second)\n {2}generation +1\n {2}state +caught up\n/ },
      'pause balances': {
        out: /^balances is paused/,
        after: async () => {
          await deposit(client, 'anna', 1)
          expect(await bank.balances()).toMatchObject({
            state: 'paused',
            lag: { positions: expect.any(Number) as number },
          })
          expect(await bank.has('lag')).not.toMatchObject({ positions: 0 })
        },
      },
      'resume balances': {
        out: /^balances goes on/,
        after: () => expect.poll(() => bank.has('state'), WAIT).toBe('caught up'),
      },
      'rebuild balances': { out: /^generation 2 of balances is live\n$/ },
      'rollback balances': {
        out: /^generation 1 of balances is live again/,
        after: async () => expect(await bank.balances()).toMatchObject({ generation: 1, unfinished: 2 }),
      },
      'rebuild balances --resume': {
        out: /^generation 2 of balances is live\n$/,
        after: async () => expect(await bank.balances()).toMatchObject({ generation: 2, previous: 1 }),
      },
      'rebuild balances --detach': {
        before: () => bank.ask('penhold projection pause balances'),
        out: /^generation 3 of balances is being rebuilt at/,
        after: async () => expect(await bank.balances()).toMatchObject({ generation: 2, rebuild: { generation: 3 } }),
      },
      'rebuild balances --abort': {
        out: /^balances is not rebuilt any more/,
        after: async () => {
          expect(await bank.balances()).toMatchObject({ generation: 2 })
          expect(await bank.has('rebuild')).toBeUndefined()
          await bank.ask('penhold projection resume balances')
        },
      },
      'parked list balances': {
        before: park,
        out: /^account\/ben +1 +MoneyDeposited .*it is refused\n.* 2 .*waits behind/m,
      },
      'parked retry balances': { out: /^0 events took effect/, code: 1 },
      'parked skip balances': {
        out: /^version 2 of account\/ben is skipped/,
        after: async () => {
          expect((await bank.ask('penhold projection parked list balances')).out).not.toMatch(/account\/ben +2 /)
          fs.rmSync(bank.refused)
          const retried = await bank.ask('penhold projection parked retry balances --json')
          expect([retried.code, JSON.parse(retried.out)]).toEqual([0, { projection: 'balances', done: 2, failed: [] }])
        },
      },
      'promote balances': {
        before: async () => {
          fs.writeFileSync(bank.refused, 'account/ben')
          const held = await bank.ask('penhold projection rebuild balances')
          expect(held).toMatchObject({
            code: 1,
            err: expect.stringMatching(/^penhold: generation 4 .* parked/) as string,
          })
        },
        out: /^balances goes live as it was rebuilt/,
        after: () => expect.poll(() => bank.has('generation'), WAIT).toBe(4),
      },
    }
    const lines = page.split('\n').filter((line) => line.startsWith('penhold projection '))
    const wordsOf = (line: string): string => /^penhold projection (.*?) *(?:#.*| --stream.*)?$/.exec(line)![1]!
    expect(lines.map(wordsOf)).toEqual(Object.keys(steps))
    for (const line of lines) {
      const { before, out, after, code = 0 } = steps[wordsOf(line)]!
      await before?.()
      const said = bank.run(line)
      expect([line, said]).toEqual([line, { code, out: expect.stringMatching(out), err: expect.any(String) }])
      await after?.()
    }
  })

  test(
    'paused, it stays so at the node that takes it over; a rebuild whose node is killed goes on at the next',
    { timeout: 300_000 },
    async () => {
      const { bank, client, nodes } = await openBank()
      await deposit(client, 'anna', 10)
      await expect.poll(() => bank.has('state'), WAIT).toBe('caught up')
      expect((await bank.ask('penhold projection pause balances')).code).toBe(0)
      const node = String(await bank.has('node'))
      expect((await bank.ask(`penhold drain ${node}`)).code).toBe(0)
      const others = ['first', 'second'].filter((name) => name !== node)
      await expect.poll(async () => others.includes(String(await bank.has('node'))), WAIT).toBe(true)
      await deposit(client, 'anna', 1)
      expect(await bank.balances()).toMatchObject({ state: 'paused', events: 0 })
      const waiting = await bank.ask('penhold projection rebuild balances --json')
      expect(waiting).toMatchObject({ code: 1, out: '' })
      expect(JSON.parse(waiting.err)).toMatchObject({
        error: { message: expect.stringContaining('is paused') as string },
      })
      expect((await bank.ask('penhold status')).out).toMatch(/^PROJECTION.*\nbalances .* paused .* 0 %$/m)

      fs.writeFileSync(bank.slow, '')
      expect((await bank.ask('penhold projection resume balances')).code).toBe(0)
      const following = bank.spawn('rebuild', 'balances', '--resume')
      const said = output(following)
      const last = String(await bank.has('node'))
      nodes.get(node)!.kill('SIGKILL')
      await bank.start('third', nodes)
      nodes.get(last)!.kill('SIGKILL')
      await expect.poll(() => bank.has('node'), WAIT).toBe('third')
      await expect.poll(() => bank.has('rebuild'), WAIT).toMatchObject({ generation: 2 })
      fs.rmSync(bank.slow)
      expect(await said).toEqual({ code: 0, out: 'generation 2 of balances is live\n', err: '' })
    },
  )

  test(
    'what cannot be done is told as it was there, with its code; Ctrl-C leaves a rebuild going',
    { timeout: 300_000 },
    async () => {
      const { bank, client } = await openBank()
      await deposit(client, 'anna', 3)
      const failed = async (line: string): Promise<unknown> => {
        const { code, out, err } = await bank.ask(`${line} --json`)
        expect([code, out], line).toEqual([1, ''])
        return (JSON.parse(err) as { error: unknown }).error
      }
      expect(await failed('penhold projection rebuild balancse')).toMatchObject({
        message: expect.stringMatching(/no node .* projection 'balancse'; the nearest is 'balances'/) as string,
      })
      const state = { code: 'ProjectionState' }
      expect(await failed('penhold projection rollback balances')).toMatchObject(state)
      expect(await failed('penhold projection promote balances')).toMatchObject(state)
      expect(await failed('penhold projection parked retry balances --stream account/x --rebuild')).toMatchObject(state)
      expect(
        await failed('penhold projection parked skip balances --stream account/x --version 1 --reason wrong'),
      ).toMatchObject(state)
      expect(bank.run('penhold projection').err).toBe(
        'penhold: projection needs one of list, status, rebuild, pause, resume, rollback, promote, parked; see penhold projection --help\n',
      )
      expect(await bank.ask('penhold projection parked lsit balances')).toMatchObject({
        code: 2,
        err: "penhold: there is no command 'projection parked lsit'; the nearest is 'projection parked list'; see penhold projection parked --help\n",
      })
      expect((await bank.ask('penhold projection parked skip balances --stream account/x')).err).toContain(
        '--reason is missing',
      )
      fs.writeFileSync(bank.slow, '')
      const following = bank.spawn('rebuild', 'balances')
      const said = output(following)
      await expect.poll(() => bank.has('rebuild'), WAIT).toBeDefined()
      following.kill('SIGINT')
      expect(await said).toEqual({
        code: 130,
        out: '',
        err: expect.stringMatching(
          /^penhold: interrupted: generation 2 of balances goes on being rebuilt;.*--abort/,
        ) as string,
      })
      fs.rmSync(bank.slow)
      await expect.poll(() => bank.has('generation'), WAIT).toBe(2)
    },
  )

  test('a node alone is not reached, and the command says what to do', () => {
    const folder = temporaryFolder()
    const config = join(folder, 'cluster.config.ts')
    fs.writeFileSync(
      config,
      `import { defineCluster } from '${source}src/index.ts'
       import { Account } from '${source}test/account.ts'
       export default defineCluster({ name: 'alone', aggregates: [Account], dataDir: 'data' })`,
    )
    const words = [main, 'projection', 'rebuild', 'balances', '--config', config]
    const { PENHOLD_REDIS: _, ...env } = process.env
    const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', env })
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^penhold: BadDefinition: .*no redis.*node\.projection\(P\)/),
    ])
  })
})
