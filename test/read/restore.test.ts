import { describe, expect, test } from 'vitest'
import { backUp } from '../../src/log/backup/backup.ts'
import { MANIFEST_PATH, partPath, readManifest, type Manifest } from '../../src/log/backup/manifest.ts'
import { Catalog } from '../../src/log/catalog.ts'
import { deriveId, parseId } from '../../src/log/identity.ts'
import { Log } from '../../src/log/log.ts'
import { hash64 } from '../../src/log/stream.ts'
import { AllReader } from '../../src/read/all.ts'
import { checkPlace } from '../../src/read/place.ts'
import { CLUSTER_PATH, RESTORED_PATH, UNFINISHED_PATH } from '../../src/log/path.ts'
import { readRestorations } from '../../src/log/restoration.ts'
import { restore, type Restored, type RestoreOptions } from '../../src/read/restore.ts'
import { verify } from '../../src/log/verify/verify.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { deposit } from '../actor/harness.ts'
import { openPurses, STREAMS, writeSmallLog } from '../log/small-log.ts'

const clock = new SimulatedClock()
const LOG = { clusterId: 'test', shards: 2, segmentBytes: 2048, node: 'test' }
const pause = (): Promise<void> => Promise.resolve()

function backUpTo(from: SimulatedDisk, to: SimulatedDisk): ReturnType<typeof backUp> {
  return backUp({ from: new SimulatedStorage(from), to: new SimulatedStorage(to), clock, pause })
}

async function manifestOf(disk: SimulatedDisk): Promise<Manifest> {
  return (await readManifest(new SimulatedStorage(disk)))!
}

/** A small log, and a backup of all of it. */
async function backedUp(): Promise<{
  disk: SimulatedDisk
  backup: SimulatedDisk
  truth: ReadonlyMap<string, readonly number[]>
}> {
  const { disk, truth } = await writeSmallLog()
  const backup = new SimulatedDisk()
  await backUpTo(disk, backup)
  return { disk, backup, truth }
}

async function restoreTo(
  backup: SimulatedDisk,
  target: SimulatedDisk,
  more: Partial<RestoreOptions> = {},
): Promise<Restored> {
  const manifest = await manifestOf(backup)
  const options = { backup: new SimulatedStorage(backup), to: new SimulatedStorage(target), clock, id: 'an id' }
  return restore({ ...options, manifest, position: manifest.position, segmentBytes: 2048, ...more })
}

/** What each purse has had, as its worker knows it; and what comes of a command that it may have seen. */
async function balances(disk: SimulatedDisk): Promise<unknown> {
  const { query } = await openPurses(disk, clock)
  return Promise.all(STREAMS.map((stream) => query(stream, 'deposits')))
}

describe('a restored log', () => {
  test('serves the same, has nothing damaged, and goes on behind what was', async () => {
    const { disk, backup, truth } = await backedUp()
    const target = new SimulatedDisk()
    const { position, events, streams } = await restoreTo(backup, target)
    expect([events, streams]).toEqual([[...truth.values()].flat().length, STREAMS.length])
    const { findings } = await verify({ storage: new SimulatedStorage(target), clock })
    expect(findings.kept).toEqual([])
    expect(await balances(target)).toEqual(await balances(disk))
    const [restoration] = await readRestorations(new SimulatedStorage(target))
    const { ask, log } = await openPurses(target, clock)
    const reply = await ask(deposit('purse/a', 1))
    if (reply.kind !== 'accepted') throw new Error('refused')
    expect(reply.version).toBe(truth.get('purse/a')!.length + 1)
    expect(restoration!.resumesAt).toBeGreaterThan(position)
    expect(reply.position).toBeGreaterThan(restoration!.resumesAt)
    expect(log.refusedShards.size).toBe(0)
  })

  test('knows the commands that had an effect', async () => {
    const { disk } = await writeSmallLog()
    const commandId = parseId(deriveId('once'))
    const again = { ...deposit('purse/a', 7), commandId, isFresh: false }
    const before = await (await openPurses(disk, clock)).ask(again)
    const backup = new SimulatedDisk()
    await backUpTo(disk, backup)
    const target = new SimulatedDisk()
    await restoreTo(backup, target)
    const after = await (await openPurses(target, clock)).ask(again)
    if (before.kind !== 'accepted' || after.kind !== 'accepted') throw new Error('refused')
    expect([after.version, after.position]).toEqual([before.version, before.position])
  })

  test('goes up to any position, with nothing behind it', async () => {
    const { backup, truth } = await backedUp()
    const all = new SimulatedDisk()
    await restoreTo(backup, all)
    const positions = (await eventsIn(all)).map(({ position }) => position)
    expect(positions).toHaveLength([...truth.values()].flat().length)
    for (const position of [0, positions[0]! - 1, positions[0]!, positions[5]!, positions.at(-2)!]) {
      const target = new SimulatedDisk()
      await restoreTo(backup, target, { position })
      const restored = (await eventsIn(target)).map((event) => event.position)
      expect(restored).toEqual(positions.filter((one) => one <= position))
      expect((await verify({ storage: new SimulatedStorage(target), clock })).findings.damages).toBe(0)
    }
  })

  test('can be backed up and restored again, and tells both times', async () => {
    const { backup } = await backedUp()
    const [first, second] = [new SimulatedDisk(), new SimulatedDisk()]
    await restoreTo(backup, first)
    await expect(backUpTo(first, backup), 'its journals have the numbers of others').rejects.toMatchObject({
      code: 'BackupUnusable',
      details: { path: RESTORED_PATH },
    })
    const other = new SimulatedDisk()
    await backUpTo(first, other)
    await restoreTo(other, second, { id: 'another id' })
    const restorations = await readRestorations(new SimulatedStorage(second))
    expect(restorations.map(({ id }) => id)).toEqual(['an id', 'another id'])
    expect(await balances(second)).toEqual(await balances(first))
  })

  test('refuses a checkpoint of what it has lost, and no other', async () => {
    const { backup } = await backedUp()
    const all = new SimulatedDisk()
    await restoreTo(backup, all)
    const positions = (await eventsIn(all)).map(({ position }) => position)
    const target = new SimulatedDisk()
    await restoreTo(backup, target, { position: positions[3]! })
    const restorations = await readRestorations(new SimulatedStorage(target))
    const { resumesAt } = restorations[0]!
    const check = (position: number) => () => checkPlace(position, { head: Infinity, restorations })
    for (const position of [0, positions[0]!, positions[3]!, resumesAt + 1]) expect(check(position)).not.toThrow()
    for (const position of [positions[4]!, positions.at(-1)!, resumesAt]) {
      expect(check(position)).toThrow(expect.objectContaining({ code: 'PlaceAhead' }) as Error)
    }
    expect(() => checkPlace(positions.at(-1)!, { head: positions.at(-1)!, restorations: [] })).not.toThrow()
  })
})

describe('a restore', () => {
  test('that dies at any step leaves nothing that is taken for a log, or all of it', async () => {
    const { backup, truth } = await backedUp()
    const count = [...truth.values()].flat().length
    for (let diesAt = 1; diesAt < 1000; diesAt += 1) {
      const target = new SimulatedDisk()
      const to = new SimulatedStorage(target, ({ number }) => (number === diesAt ? 'die-after' : 'none'))
      const result = await restoreTo(backup, target, { to }).catch((error: unknown) => error)
      if (!(result instanceof Error)) {
        expect([target.files.has(UNFINISHED_PATH), target.files.has(CLUSTER_PATH)]).toEqual([false, true])
        expect(diesAt).toBeGreaterThan(30)
        return
      }
      if (!target.files.has(CLUSTER_PATH)) {
        expect(target.files.has(UNFINISHED_PATH), `step ${diesAt}`).toBe(true)
        continue
      }
      const { findings, events } = await verify({ storage: new SimulatedStorage(target), clock })
      expect([findings.damages, events]).toEqual([0, count])
    }
    expect.fail('it never came to its end')
  })

  test('of a damaged backup is refused with file and place, and nothing is written', async () => {
    const { backup } = await backedUp()
    const manifest = await manifestOf(backup)
    const { journal, segments } = manifest.journals[1]!
    const [{ segment, parts }] = segments as [(typeof segments)[0]]
    const path = partPath(journal, segment, parts[0]!)
    const at = parts[0]!.to >> 1
    backup.files.get(path)!.flip(at, 3)
    const target = new SimulatedDisk()
    await expect(restoreTo(backup, target)).rejects.toMatchObject({
      code: 'BackupUnusable',
      details: { path, offset: at },
    })
    backup.files.get(path)!.flip(at, 3)
    await restoreTo(backup, new SimulatedDisk())
    backup.files.get(path)!.truncate(at)
    await expect(restoreTo(backup, target)).rejects.toMatchObject({ details: { path, offset: at } })
    backup.files.delete(path)
    await expect(restoreTo(backup, target)).rejects.toMatchObject({ details: { path, offset: 0 } })
    backup.files.get(MANIFEST_PATH)!.flip(40, 1)
    await expect(manifestOf(backup)).rejects.toMatchObject({ code: 'BackupUnusable', details: { path: MANIFEST_PATH } })
    expect(target.files.size).toBe(0)
  })
})

describe('a backup', () => {
  test('copies only what is new, into files of its own, and of a quiet log has everything', async () => {
    const { disk, backup } = await backedUp()
    const before = new Map([...backup.files].map(([path, { live }]) => [path, Buffer.from(live)]))
    const idle = await backUpTo(disk, backup)
    expect(idle.bytesCopied).toBe(0)
    const { ask } = await openPurses(disk, clock)
    const reply = await ask(deposit('purse/a', 1))
    const { bytesCopied, position } = await backUpTo(disk, backup)
    expect(bytesCopied).toBeGreaterThan(0)
    expect(bytesCopied).toBeLessThan(4096)
    expect(reply).toMatchObject({ kind: 'accepted', position })
    for (const [path, content] of before) {
      if (path !== MANIFEST_PATH) expect(content.equals(backup.files.get(path)!.live), path).toBe(true)
    }
  })

  test('of a damaged log is made, and says what is damaged, also the next time', async () => {
    const { disk } = await writeSmallLog()
    const path = 'journals/00000001/000001.log'
    const { live } = disk.files.get(path)!
    live.fill(0xaa, 600, 700)
    const backup = new SimulatedDisk()
    for (let round = 0; round < 2; round += 1) {
      const { damages } = await backUpTo(disk, backup)
      expect(damages).toEqual([expect.objectContaining({ path })])
    }
    await expect(restoreTo(backup, new SimulatedDisk())).rejects.toMatchObject({ code: 'BackupUnusable' })
  })

  test('keeps what the log has lost since, and is not mixed with what stands there instead', async () => {
    const { disk, backup } = await backedUp()
    const manifest = await manifestOf(backup)
    const path = 'journals/00000001/000001.log'
    const lost = disk.files.get(path)!
    disk.files.delete(path)
    const { damages } = await backUpTo(disk, backup)
    expect(damages).toEqual([expect.objectContaining({ path })])
    expect((await manifestOf(backup)).journals[0]!.segments[0]).toEqual(manifest.journals[0]!.segments[0])
    await restoreTo(backup, new SimulatedDisk())
    disk.files.set(path, lost)
    lost.flip(manifest.journals[0]!.segments[0]!.parts[0]!.to - 3, 1)
    await expect(backUpTo(disk, backup)).rejects.toMatchObject({ code: 'BackupUnusable' })
    await expect(backUpTo((await writeSmallLog(1)).disk, backup)).rejects.toMatchObject({ code: 'BackupUnusable' })
  })
})

/** The events of a log that nobody writes to, in their order. */
async function eventsIn(disk: SimulatedDisk): Promise<readonly { readonly position: number }[]> {
  const storage = new SimulatedStorage(disk)
  const log = await Log.open({ storage, clock, ...LOG, own: [0, 1] })
  const reigns = new Map(log.ownedShards.map(({ shard }) => [shard, log.reigns(shard)]))
  const { head } = log
  const ends = new Map([[head.journal, head.end]])
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  const seen: { position: number }[] = []
  const reader = new AllReader(catalog)
  for await (const events of reader.advance({ reigns, ends, position: Number.MAX_SAFE_INTEGER })) seen.push(...events)
  await log.close()
  return seen
}
