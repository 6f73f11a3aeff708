/**
 * Backups of a log whose writers go on meanwhile: before each look of the backup at a file they may write, take shards from
 * each other, die with a batch that was not synced, or lose power. What is restored is what the log has, up to the backup's
 * position: with the cause of all that is in it, with all that was acknowledged before it began, and nothing else.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { viewBackup } from '../../src/log/backup/backup-view.ts'
import { backUp, type Backup } from '../../src/log/backup/backup.ts'
import { readManifest, type Manifest } from '../../src/log/backup/manifest.ts'
import { verify } from '../../src/log/verify/verify.ts'
import { restore } from '../../src/read/restore.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { ProcessDied, SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { anyStep, eventsOf, WritersWorld, type SeenEvent, type Step } from './writers-world.ts'
import { inTime } from '../in-time.ts'

interface Run {
  readonly backups: readonly {
    readonly steps: readonly [readonly Step[], readonly (readonly Step[])[]]
    readonly diesAt: number
    /** The power is lost before. */
    readonly isAfterLoss: boolean
  }[]
  readonly seed: number
}

const meanwhile: fc.Arbitrary<readonly Step[]> = fc.oneof(
  { weight: 4, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(anyStep, { minLength: 1, maxLength: 3 }) },
)

const anyRun: fc.Arbitrary<Run> = fc.record({
  backups: fc.array(
    fc.record({
      // The first are taken before the backup, the others before one of its looks each: at most of them nothing happens.
      steps: fc.tuple(fc.array(anyStep, { maxLength: 12 }), fc.array(meanwhile, { maxLength: 60 })),
      /** 0: it does not. */
      diesAt: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60 })),
      isAfterLoss: fc.boolean(),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  seed: fc.nat(),
})

const numRuns = Number(process.env['PENHOLD_RUNS'] ?? 150)

test(
  'what is restored is what was durable up to a position, whatever its writers did meanwhile',
  {
    timeout: 240_000,
  },
  async () => {
    await fc.assert(fc.asyncProperty(anyRun, checkRun), { numRuns, ...inTime() })
  },
)

interface Made extends Pick<Backup, 'position' | 'damages'> {
  /** Where that is known. */
  readonly unopened: readonly number[] | undefined
  readonly manifest: Manifest
  /** What was acknowledged before it began. */
  readonly durable: ReadonlySet<string>
}

let time = 0

async function checkRun({ backups, seed }: Run): Promise<void> {
  const world = new WritersWorld(seed)
  const disk = new SimulatedDisk()
  const made: Made[] = []
  for (const { steps, diesAt, isAfterLoss } of backups) {
    if (isAfterLoss) world.losePower()
    for (const step of steps[0]) await world.take(step)
    const durable = new Set(world.acknowledged)
    const backup = await backUpMeanwhile(world, { disk, steps: steps[1], diesAt })
    const manifest = await readManifest(new SimulatedStorage(disk))
    // One that was interrupted leaves the one before, or has done all.
    if (manifest !== undefined && manifest.time !== made.at(-1)?.manifest.time) {
      const { position, damages } = manifest
      made.push({ position, damages, unopened: backup?.unopened, manifest, durable })
    } else expect([backup, manifest]).toEqual([undefined, made.at(-1)?.manifest])
  }
  world.losePower()
  const truth = await world.allEvents()
  for (const one of made) await checkBackup(disk, truth, one)
}

async function backUpMeanwhile(
  world: WritersWorld,
  { disk, steps, diesAt }: { disk: SimulatedDisk; steps: readonly (readonly Step[])[]; diesAt: number },
): Promise<Backup | undefined> {
  let looks = 0
  const from = new SimulatedStorage(world.disk, async ({ name }) => {
    expect(['list', 'openRead', 'read', 'sync'], 'nothing is written there').toContain(name)
    for (const step of steps[looks] ?? []) await world.take(step)
    looks += 1
    return 'none' as const
  })
  const to = new SimulatedStorage(disk, ({ number }) => (number === diesAt ? 'die-after' : 'none'))
  try {
    return await backUp({ from, to, clock: new SimulatedClock((time += 1)), pause: () => Promise.resolve() })
  } catch (error) {
    if (error instanceof ProcessDied) return undefined
    if ((error as { code?: string }).code === 'BackupUnsettled') return undefined
    throw error
  }
}

async function checkBackup(disk: SimulatedDisk, truth: readonly SeenEvent[], made: Made): Promise<void> {
  expect(made.damages).toEqual([])
  await checkRestored(disk, truth, made)
  const half = truth[truth.length >> 1]?.position ?? 0
  if (half < made.position) await checkRestored(disk, truth, { ...made, position: half })
}

async function checkRestored(
  disk: SimulatedDisk,
  truth: readonly SeenEvent[],
  { position, unopened, manifest, durable }: Made,
): Promise<void> {
  const source = new SimulatedStorage(disk)
  const target = new SimulatedDisk()
  const clock = new SimulatedClock()
  const to = new SimulatedStorage(target)
  const options = { backup: source, manifest, to, clock, position, id: 'x', segmentBytes: 65_536 }
  await restore(options)
  const restored = await eventsOf(target)
  const ids = new Set(restored.map(({ id }) => id))
  const placed = ({ id, position: at }: SeenEvent): unknown => [id, at]
  if (unopened?.length === 0) {
    expect(restored.map(placed)).toEqual(truth.filter(({ id }) => ids.has(id)).map(placed))
  }
  const below = new Set(restored.filter((event) => event.position <= position).map(({ command }) => command))
  for (const event of restored) {
    expect(below, `nothing is above the position but the rest of a command: ${event.id}`).toContain(event.command)
    if (event.cause !== '') expect(ids, `the cause of ${event.id}`).toContain(event.cause)
  }
  for (const { id, position: at, command } of truth) {
    if (at <= position && durable.has(id)) expect(ids).toContain(id)
    if (below.has(command)) expect(ids, 'commands are whole').toContain(id)
  }
  const { findings } = await verify({ storage: to, clock })
  expect(findings.kept.filter(({ severity }) => severity === 'damage')).toEqual([])
  expect((await verify({ storage: viewBackup(source, manifest), clock })).findings.damages).toBe(0)
}

test('an effect that is found after its cause could be is not in the backup', async () => {
  const world = new WritersWorld(1)
  for (const number of [0, 1]) {
    await world.take({ do: 'claim', shard: number, to: number })
    await world.take({ do: 'open', worker: number })
    await world.take({ do: 'write', shard: number, events: 1 })
  }
  const disk = new SimulatedDisk()
  let looks = 0
  const from = new SimulatedStorage(world.disk, async ({ name, path }) => {
    // The first is for the sizes, and one for each of two rounds. By the last journal 1 was looked at for good.
    if (name !== 'list' || path !== 'journals/00000002' || (looks += 1) !== 3) return 'none' as const
    await world.take({ do: 'write', shard: 0, events: 1 })
    await world.take({ do: 'write', shard: 1, events: 1 })
    return 'none' as const
  })
  const to = new SimulatedStorage(disk)
  await backUp({ from, to, clock: new SimulatedClock(), pause: () => Promise.resolve() })
  expect(looks).toBeGreaterThanOrEqual(3)
  const manifest = (await readManifest(to))!
  await checkBackup(disk, await world.allEvents(), { ...manifest, unopened: [], manifest, durable: new Set() })
})
