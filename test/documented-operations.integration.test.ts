/** The commands of docs/operations.md that are about projections, against real nodes, which are paused, drained and killed. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { connect, type Client } from '../src/index.ts'
import { withProjections } from '../src/cli/projection-cluster.ts'
import { shownOf, toJson } from '../src/cli/projection-picture.ts'
import { Account } from './account.ts'
import { cli, startCliNode, type CliNode } from './cli-node.ts'
import { runCli, type Said } from './cli-run.ts'
import { hasRedis, startRedis } from './redis-server.ts'
import { temporaryFolder } from './temporary.ts'

const page = fs.readFileSync(join(import.meta.dirname, '../docs/operations.md'), 'utf8')
const source = new URL('..', import.meta.url).href

type Told = Readonly<Record<string, unknown>>

/** A cluster with the projection `balances`, and `turnover` by shard, which refuse what a file of theirs names. */
class Bank {
  readonly folder = fs.mkdtempSync(join(tmpdir(), 'penhold-'))
  readonly config = join(this.folder, 'cluster.config.ts')
  readonly nodes = new Map<string, CliNode>()
  readonly #environment: NodeJS.ProcessEnv
  readonly #endings: (() => Promise<void>)[] = []

  constructor(redis: string) {
    this.#environment = { ...process.env, PENHOLD_REDIS: redis }
    fs.writeFileSync(
      this.config,
      `import fs from 'node:fs'
       import { setTimeout as delay } from 'node:timers/promises'
       import { defineCluster, defineProjection, redisStore } from '${source}src/index.ts'
       import { Account } from '${source}test/account.ts'
       const define = (name, order, onFailure) => defineProjection({
         name,
         from: [Account],
         order,
         store: redisStore({ redis: '${redis}' }),
         onFailure,
         retries: 0,
         batchMax: 2,
         on: {
           MoneyDeposited: async ({ stream, data }, { key, write }) => {
             const file = '${this.folder}/' + name
             while (fs.existsSync(file + '.slow')) await delay(20)
             if (fs.existsSync(file + '.refused') && fs.readFileSync(file + '.refused', 'utf8').includes(stream)) {
               throw new Error('it is refused')
             }
             write('hincrby', key('sums'), stream, data.amount)
           },
         },
       })
       export default defineCluster({
         name: 'ops-${this.folder.split('-').at(-1)}', aggregates: [Account], dataDir: 'data', workers: 1, shards: 4,
         projections: [define('balances', 'all', 'park'), define('turnover', 'shard', 'halt')],
         timeouts: { leaseMs: 6_000 }, redis: '${redis}',
       })`,
    )
  }

  async start(name: string): Promise<void> {
    const environment = { ...this.#environment, PENHOLD_NODE_NAME: name }
    const onEnd = (end: () => Promise<void>): void => void this.#endings.push(end)
    this.nodes.set(name, await startCliNode({ config: this.config, environment, onEnd }))
  }

  async stop(): Promise<void> {
    await Promise.all(this.#endings.map((end) => end()))
    fs.rmSync(this.folder, { recursive: true, force: true })
  }

  /** Handlers of a projection wait while it is there, or refuse what it names. */
  file(projection: string, what: 'slow' | 'refused'): string {
    return join(this.folder, `${projection}.${what}`)
  }

  /** A line as the page has it, in a shell. */
  run(line: string): Said {
    const command = line.replace(/^penhold/, `'${process.execPath}' '${cli}'`)
    const options = { cwd: this.folder, env: this.#environment, encoding: 'utf8', timeout: 60_000 } as const
    const { status: code, stdout: out, stderr: err } = spawnSync('sh', ['-c', command], options)
    return { code, out, err }
  }

  /** The same within this process: a shell says what its words are. */
  async ask(line: string): Promise<Said> {
    const words = spawnSync('sh', ['-c', line.replace(/^penhold/, String.raw`printf '%s\0'`)], { encoding: 'utf8' })
    return await runCli(...words.stdout.split('\0').slice(0, -1), '--config', this.config)
  }

  spawn(...words: string[]): ChildProcess {
    const child = spawn(process.execPath, [cli, 'projection', ...words], { cwd: this.folder, env: this.#environment })
    onTestFinished(() => void child.kill('SIGKILL'))
    return child
  }

  /** What nodes say of a projection that run it, as `penhold projection list` has it. */
  async tell(projection: string): Promise<readonly Told[]> {
    let shown: readonly object[] = []
    await withProjections({ config: this.config }, new AbortController().signal, async (cluster) => {
      shown = toJson(shownOf(await cluster.look()))
      return 0
    })
    return (shown as readonly Told[]).filter(({ name }) => name === projection)
  }

  async balances(): Promise<Told> {
    return (await this.tell('balances'))[0]!
  }

  /** One property of that. */
  async has(key: string): Promise<unknown> {
    return (await this.balances())[key]
  }
}

async function output(child: ChildProcess): Promise<Said> {
  const said = { out: '', err: '' }
  child.stdout!.on('data', (data) => (said.out += String(data)))
  child.stderr!.on('data', (data) => (said.err += String(data)))
  // What it said last may come after its end.
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...said }
}

const WAIT = { timeout: 60_000, interval: 100 }

describe.skipIf(!hasRedis)('docs/operations.md: projections', { timeout: 240_000 }, () => {
  let bank: Bank
  let client: Client
  const endings: (() => Promise<unknown>)[] = []
  beforeAll(async () => {
    const redis = await startRedis()
    endings.unshift(() => redis.stop())
    bank = new Bank(redis.url)
    endings.unshift(() => bank.stop())
    await Promise.all([bank.start('first'), bank.start('second')])
    client = await connect(bank.config, { redis: redis.url })
    endings.unshift(() => client.close())
    // Each has its share of the shards, and nothing moves any more.
    await vi.waitFor(async () => {
      const lanes = (await bank.tell('turnover')).map((told) => (told['lanes'] as unknown[]).length)
      expect(lanes).toEqual([2, 2])
    }, WAIT)
  }, 120_000)
  afterAll(async () => {
    for (const end of endings) await end()
  })

  async function deposit(account: string, times: number): Promise<void> {
    for (let i = 0; i < times; i += 1) await client.ref(Account, account).ask('deposit', { amount: 1 })
  }

  test('what cannot be done is told as it was there, with its code', async () => {
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
    const skip = 'penhold projection parked skip balances --stream account/x'
    expect(await failed(`${skip} --version 1 --reason wrong`)).toMatchObject(state)
    expect(bank.run('penhold projection').err).toBe(
      'penhold: projection needs one of list, status, rebuild, pause, resume, rollback, promote, parked; see penhold projection --help\n',
    )
    expect(await bank.ask('penhold projection parked lsit balances')).toMatchObject({
      code: 2,
      err: "penhold: there is no command 'projection parked lsit'; the nearest is 'projection parked list'; see penhold projection parked --help\n",
    })
    expect((await bank.ask(skip)).err).toContain('--reason is missing')
  })

  test('its commands do what it says, one after the other', async () => {
    await deposit('anna', 5)
    await expect.poll(() => bank.has('state'), WAIT).toBe('caught up')
    const refused = bank.file('balances', 'refused')
    const park = async (): Promise<void> => {
      fs.writeFileSync(refused, 'account/ben')
      await deposit('ben', 3)
      const listed = async (): Promise<string> => (await bank.ask('penhold projection parked list balances')).out
      await expect.poll(listed, WAIT).toMatch(/^account\/ben +1 [^]*^.* 3 .*waits behind/m)
    }
    interface Step {
      readonly before?: () => Promise<unknown> | void
      readonly out: RegExp
      readonly after?: () => Promise<unknown> | void
      readonly code?: number
    }
    const steps: Readonly<Record<string, Step>> = {
      list: {
        out: /^PROJECTION +NODE .*\nbalances +(first|second) +1 +caught up +0 ms +0 +-\nturnover .*\nturnover .*\n$/,
      },
      'status balances': { out: /^balances\n {2}node +(first|second)\n {2}generation +1\n {2}state +caught up\n/ },
      'pause balances': {
        out: /^balances is paused/,
        after: async () => {
          await deposit('anna', 1)
          const positions = expect.toSatisfy((behind: number) => behind > 0) as number
          await expect.poll(() => bank.balances(), WAIT).toMatchObject({ state: 'paused', lag: { positions } })
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
          fs.rmSync(refused)
          const retried = await bank.ask('penhold projection parked retry balances --json')
          expect([retried.code, JSON.parse(retried.out)]).toEqual([0, { projection: 'balances', done: 2, failed: [] }])
        },
      },
      'promote balances': {
        before: async () => {
          fs.writeFileSync(refused, 'account/ben')
          const held = await bank.ask('penhold projection rebuild balances')
          expect(held).toMatchObject({
            code: 1,
            err: expect.stringMatching(/^penhold: generation 4 .* parked/) as string,
          })
        },
        out: /^balances goes live as it was rebuilt/,
        after: async () => {
          await expect.poll(() => bank.has('generation'), WAIT).toBe(4)
          fs.rmSync(refused)
        },
      },
    }
    const lines = page.split('\n').filter((line) => line.startsWith('penhold projection '))
    const wordsOf = (line: string): string => /^penhold projection (.*?) *(?:#.*| --stream.*)?$/.exec(line)![1]!
    expect(lines.map(wordsOf)).toEqual(Object.keys(steps))
    const isWhole = new Set(['list', 'rebuild balances', 'parked retry balances'])
    for (const line of lines) {
      const { before, out, after, code = 0 } = steps[wordsOf(line)]!
      await before?.()
      // Some in a process of their own; the others as a shell reads them.
      const said = isWhole.has(wordsOf(line)) ? bank.run(line) : await bank.ask(line)
      expect([line, said]).toEqual([line, { code, out: expect.stringMatching(out), err: expect.any(String) }])
      await after?.()
    }
  })

  test('a rebuild by shard is one of all nodes: what halts it at any of them, and its end', async () => {
    for (let i = 0; i < 24; i += 1) await deposit(`by-shard-${i}`, 1)
    const [slow, refused] = [bank.file('turnover', 'slow'), bank.file('turnover', 'refused')]
    fs.writeFileSync(slow, '')
    const following = bank.spawn('rebuild', 'turnover', '--json')
    const said = output(following)
    const states = async (): Promise<unknown[]> =>
      (await bank.tell('turnover')).map(({ rebuild }) => (rebuild as Told | undefined)?.['state'])
    await expect.poll(states, WAIT).toEqual(['running', 'running'])
    following.kill('SIGINT')
    const interrupted = await said
    expect(interrupted).toMatchObject({ code: 130, out: '' })
    expect(JSON.parse(interrupted.err)).toEqual({
      error: {
        message: expect.stringMatching(
          /^interrupted: generation 2 of turnover goes on being rebuilt; .*projection status .*--resume .*--abort/,
        ) as string,
      },
    })
    fs.writeFileSync(refused, Array.from({ length: 24 }, (_, i) => `account/by-shard-${i}`).join('\n'))
    fs.rmSync(slow)
    await expect.poll(states, WAIT).toEqual(['halted', 'halted'])
    const halted = await bank.ask('penhold projection rebuild turnover --resume')
    const at = '(first|second): .*it is refused.*'
    expect(halted).toMatchObject({
      code: 1,
      err: expect.stringMatching(`^penhold: generation 2 .* stands still at ${at}; at ${at}resume turnover`) as string,
    })
    fs.rmSync(refused)
    expect((await bank.ask('penhold projection resume turnover')).code).toBe(0)
    const generations = async (): Promise<unknown> => (await bank.tell('turnover')).map(({ generation }) => generation)
    await expect.poll(generations, WAIT).toEqual([2, 2])
  })

  test('paused, it stays so at the node that takes it over; a rebuild whose node is killed goes on at the next', async () => {
    await deposit('anna', 10)
    await expect.poll(() => bank.has('state'), WAIT).toBe('caught up')
    expect((await bank.ask('penhold projection pause balances')).code).toBe(0)
    const node = String(await bank.has('node'))
    expect((await bank.ask(`penhold drain ${node}`)).code).toBe(0)
    const others = ['first', 'second'].filter((name) => name !== node)
    await expect.poll(async () => others.includes(String(await bank.has('node'))), WAIT).toBe(true)
    await deposit('anna', 1)
    // For a moment it is only starting there.
    await expect.poll(() => bank.balances(), WAIT).toMatchObject({ state: 'paused', events: 0 })
    const before = Number(await bank.has('generation'))
    const waiting = await bank.ask('penhold projection rebuild balances --json')
    expect(waiting).toMatchObject({ code: 1, out: '' })
    expect(JSON.parse(waiting.err)).toMatchObject({
      error: { message: expect.stringContaining('is paused') as string },
    })
    expect((await bank.ask('penhold status')).out).toMatch(/^PROJECTION.*\nbalances .* paused .* 0 %$/m)

    for (const projection of ['balances', 'turnover']) fs.writeFileSync(bank.file(projection, 'slow'), '')
    expect((await bank.ask('penhold projection resume balances')).code).toBe(0)
    const following = output(bank.spawn('rebuild', 'balances', '--resume'))
    const byShard = bank.ask('penhold projection rebuild turnover --json')
    const [last] = others
    bank.nodes.get(node)!.kill('SIGKILL')
    await bank.start('third')
    await expect.poll(async () => (await bank.tell('turnover'))[0]?.['rebuild'], WAIT).toMatchObject({ generation: 3 })
    bank.nodes.get(last!)!.kill('SIGKILL')
    await expect.poll(() => bank.has('node'), WAIT).toBe('third')
    await expect.poll(() => bank.has('rebuild'), WAIT).toMatchObject({ generation: before + 1 })
    for (const projection of ['balances', 'turnover']) fs.rmSync(bank.file(projection, 'slow'))
    expect(await following).toEqual({ code: 0, out: `generation ${before + 1} of balances is live\n`, err: '' })
    const { code, out } = await byShard
    const live = { projection: 'turnover', generation: 3, nodes: ['third'], isLive: true }
    expect([code, JSON.parse(out)]).toEqual([0, live])
  })

  test('a node alone is not reached, and the command says what to do', () => {
    const folder = temporaryFolder()
    const config = join(folder, 'cluster.config.ts')
    fs.writeFileSync(
      config,
      `import { defineCluster } from '${source}src/index.ts'
       import { Account } from '${source}test/account.ts'
       export default defineCluster({ name: 'alone', aggregates: [Account], dataDir: 'data' })`,
    )
    const words = [cli, 'projection', 'rebuild', 'balances', '--config', config]
    const { PENHOLD_REDIS: _, ...env } = process.env
    const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', env })
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^penhold: BadDefinition: .*no redis.*node\.projection\(P\)/),
    ])
  })
})
