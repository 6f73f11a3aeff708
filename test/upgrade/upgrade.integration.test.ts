import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { connect, defineCluster } from '../../src/index.ts'
import { freePort } from '../free-port.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'
import config, { Journal } from './cluster.config.ts'
import { unpackPrevious } from './previous.ts'
import type { Ended, Start, Told } from './process.ts'
import { startTap, type Tap } from './tap.ts'

/** Where each falls is another matter in each cluster: so many that no node's shards have none. All writers share all of them. */
const JOURNALS = Array.from({ length: 24 }, (_, i) => `j${i}`)
const WAIT = { timeout: 60_000, interval: 20 }
/** As a caller has it that runs the next code. */
const NewJournal = {
  ...Journal,
  commands: { ...Journal.commands, forget: (_state: unknown, _none: undefined): undefined => undefined },
}
/** Nodes of the version before know no event store, and let nobody read from them. */
const UNKNOWN_TO_OLD = { code: 'NotSupported', outcome: 'none' }
type Version = 'old' | 'new'

/** One process that writes, from its start to its end. */
class Writer {
  readonly name: string
  rows = 0
  shards = 0
  readonly #child: ChildProcess
  readonly #ended: Promise<Ended>

  constructor(folder: string, start: Start) {
    this.name = start.name
    const child = fork(join(folder, 'process.ts'), { execArgv: [], serialization: 'advanced' })
    this.#child = child
    onTestFinished(() => void child.kill('SIGKILL'))
    this.#ended = new Promise((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`${start.name} ended with ${code} and said nothing`)))
      child.on('message', (told: Told) => {
        if (told.kind === 'written') Object.assign(this, { rows: told.rows, shards: told.shards })
        else if (told.kind === 'ended') resolve(told)
      })
    })
    this.#ended.catch(() => undefined)
    child.send(start)
  }

  /** Resolves when it writes, and, where it is a node, serves. */
  async isAtWork(kind: Start['kind']): Promise<void> {
    const before = this.rows
    await vi.waitFor(() => {
      expect(this.rows, this.name).toBeGreaterThan(before + JOURNALS.length)
      if (kind === 'node') expect(this.shards, this.name).toBeGreaterThan(0)
    }, WAIT)
  }

  async end(): Promise<Ended> {
    this.#child.kill('SIGTERM')
    return this.#ended
  }
}

test.skipIf(!hasRedis)(
  'nodes are upgraded one by one, and one of them back again, under load that sees nothing of it',
  { timeout: 240_000 },
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const folders: Readonly<Record<Version, string>> = { old: unpackPrevious(), new: import.meta.dirname }
    const shared = { dataDir: temporaryFolder(), redis: redis.url }
    const taps: Tap[] = []
    const start = async (kind: Start['kind'], version: Version, name: string): Promise<Writer> => {
      const port = await freePort()
      const tap = await startTap(port)
      taps.push(tap)
      onTestFinished(() => tap.close())
      const network = { listen: `127.0.0.1:${port}`, advertise: tap.address }
      const overrides = { ...shared, ...(kind === 'node' && { network, nodeName: name }) }
      const writer = new Writer(folders[version], { kind, name, journals: JOURNALS, overrides })
      await writer.isAtWork(kind)
      return writer
    }
    const ended: [Writer, Ended][] = []
    const end = async (writer: Writer): Promise<void> => void ended.push([writer, await writer.end()])

    const [first, second] = await Promise.all([start('node', 'old', 'first'), start('node', 'old', 'second')])
    const clients = await Promise.all([start('client', 'old', 'old-client'), start('client', 'new', 'new-client')])
    await using early = await connect(defineCluster({ ...config, ...shared, aggregates: [NewJournal] }))
    await expect(early.store.append('audit/1', [{ type: 'Noted' }])).rejects.toMatchObject(UNKNOWN_TO_OLD)
    await expect(early.store.load('journal/j0').next()).rejects.toMatchObject(UNKNOWN_TO_OLD)
    await expect(early.store.readAll().next()).rejects.toMatchObject(UNKNOWN_TO_OLD)
    await expect(early.store.subscribe().next()).rejects.toMatchObject(UNKNOWN_TO_OLD)
    await expect(early.store.subscribe({ stream: 'audit/1' }).next()).rejects.toMatchObject(UNKNOWN_TO_OLD)
    // It has a command more than they.
    await expect(early.ref(NewJournal, 'j0').ask('forget')).rejects.toMatchObject({
      ...UNKNOWN_TO_OLD,
      retryable: true,
    })
    const third = await start('node', 'new', 'third')
    await end(first)
    // Somebody has second thoughts.
    const back = await start('node', 'old', 'first-back')
    await end(second)
    const secondNew = await start('node', 'new', 'second-new')
    await end(back)
    const firstNew = await start('node', 'new', 'first-new')
    for (const client of clients) await client.isAtWork('client')

    // Whoever writes last sees what all have written.
    for (const writer of [...clients, third, secondNew]) await end(writer)
    await using reader = await connect(defineCluster({ ...config, ...shared }))
    await firstNew.isAtWork('node')
    await early.store.append('audit/1', [{ type: 'Noted' }])
    expect((await Array.fromAsync(early.store.load('journal/j0'))).length).toBeGreaterThan(0)
    expect((await early.store.readAll().next()).done).toBe(false)
    const counts = await Promise.all(JOURNALS.map((id) => reader.ref(Journal, id).query('entries')))
    await end(firstNew)
    for (const [{ name }, { failures, entries }] of ended) {
      expect(failures, name).toEqual([])
      if (name === 'first-new') continue
      expect(
        JOURNALS.map((id) => counts[JOURNALS.indexOf(id)]![name] ?? 0),
        name,
      ).toEqual(JOURNALS.map((id) => entries[id] ?? 0))
    }

    const seen = taps.flatMap((tap) => tap.seen())
    expect(seen.every(({ isUnderstood }) => isUnderstood)).toBe(true)
    const kinds = new Set(seen.map(({ role, versions }) => `${role} ${versions.join(' to ')}`))
    expect([...kinds].toSorted()).toEqual(
      ['node', 'client']
        .flatMap((role) => ['2 to 2', '2 to 3', '3 to 2', '3 to 3'].map((pair) => `${role} ${pair}`))
        .toSorted(),
    )
  },
)
