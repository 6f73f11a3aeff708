import { spawn } from 'node:child_process'
import { createReadStream, existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { createGunzip } from 'node:zlib'
import { parse } from 'csv-parse'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import config from '../../cluster.config.ts'
import { createDice } from '../../examples/incidents/dice.ts'
import { wrongReadModels } from '../../examples/incidents/report.ts'
import { openCsv } from '../../examples/incidents/rows.ts'
import { run } from '../../examples/incidents/runner.ts'
import { startNode } from '../../src/index.ts'
import { SEED } from '../seed.ts'

const MAIN = fileURLToPath(new URL('../../examples/incidents/main.ts', import.meta.url))
const REAL = fileURLToPath(new URL('../../../shared/data/incidents/events.csv.gz', import.meta.url))
const KILLS = 6
/** A run takes about two seconds: kills fall everywhere from the start of the process to its end. */
const KILLED_WITHIN_MS = 2_000

let dir: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'penhold-test-demo-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the demo. It is killed after so many milliseconds, or when it first says how far it is, if it has not ended by then. */
function demo(args: readonly string[], kill?: number | 'on progress'): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const output = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output.stderr += text
      if (kill === 'on progress' && text.includes(' rows, ')) child.kill('SIGKILL')
    })
    const timer = typeof kill === 'number' ? setTimeout(() => child.kill('SIGKILL'), kill) : undefined
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, ...output })
    })
  })
}

/** The numbers of a run that went well, without its times. */
function numbersOf({ code, stdout, stderr }: Ended): Record<string, unknown> {
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('wrong') as unknown })
  expect(stdout.trim().split('\n')).toHaveLength(1)
  const { seconds, commandsPerSecond, ...numbers } = JSON.parse(stdout) as Record<string, unknown>
  expect(seconds).toBeTypeOf('number')
  expect(commandsPerSecond).toBeTypeOf('number')
  return numbers
}

test(
  `a demo that is killed again and again ends with the same numbers (PENHOLD_SEED=${SEED})`,
  { timeout: 240_000 },
  async () => {
    const incidents = ['--json', '--incidents', '1000']
    const undisturbed = numbersOf(await demo([...incidents, '--data', join(dir, 'undisturbed')]))
    const args = [...incidents, '--data', join(dir, 'killed')]
    const dice = createDice(SEED, 0)
    for (let kill = 0; kill < KILLS; kill += 1) {
      const ended = await demo(args, dice.below(KILLED_WITHIN_MS))
      if (ended.code !== null) expect(numbersOf(ended)).toEqual(undisturbed)
    }
    expect(numbersOf(await demo(args))).toEqual(undisturbed)
    expect(numbersOf(await demo(args))).toEqual(undisturbed)
  },
)

test('a demo whose data directory is in use says so and ends with 1', async () => {
  const data = join(dir, 'in-use')
  const args = ['--incidents', '10', '--data', data]
  const holder = await startNode(config, { dataDir: data, workers: 'inline' })
  const inUse = expect.stringContaining('DataDirectoryInUse') as unknown
  expect(await demo(args)).toMatchObject({ code: 1, stdout: '', stderr: inUse })
  await holder.close()
  expect(await demo(args)).toMatchObject({ code: 0 })
})

test('bad arguments end with 2, an unreadable file with 1, each in a line or two', async () => {
  expect(await demo(['--bogus'])).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('--help') as unknown,
  })
  expect(await demo(['--input', join(dir, 'nowhere.csv')])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^cannot read .*nowhere\.csv: ENOENT.*\n$/) as unknown,
  })
})

describe('the records of a real service desk', () => {
  const isThere = existsSync(REAL)
  const why = 'the records are not part of this repository; see examples/incidents/README.md'

  test(
    'end with their ground truth, also where the demo is killed on the way',
    { timeout: 600_000 },
    async (context) => {
      context.skip(!isThere, why)
      const data = join(dir, 'real')
      const args = ['--input', REAL, '--json', '--data', data]
      await demo(args, 'on progress')
      const { readModels, ...numbers } = numbersOf(await demo(args))
      expect(numbers).toEqual({
        rows: 141_712,
        commands: 141_712,
        accepted: 141_707,
        rejected: 5,
        rejections: { 'unknown-state': 5 },
        events: 167_382,
        incidents: 24_918,
        closed: 24_918,
        reassignments: 23_414,
        reopened: 275,
        slaMet: 15_803,
      })
      expect(readModels).toMatchObject({
        openByGroup: [],
        openByAssignee: [],
        timeByPriority: [
          { priority: 1, resolved: 270, median: 250_800, p90: 2_010_900, max: 18_203_340 },
          { priority: 2, resolved: 408, median: 113_340, p90: 1_373_640, max: 13_394_760 },
          { priority: 3, resolved: 23_466, median: 48_900, p90: 1_269_120, max: 29_052_600 },
          { priority: 4, resolved: 774, median: 4_620, p90: 1_556_760, max: 28_872_960 },
        ],
        slaByPriority: [
          { priority: 1, met: 5, breached: 265 },
          { priority: 2, met: 2, breached: 406 },
          { priority: 3, met: 15_145, breached: 8_321 },
          { priority: 4, met: 651, breached: 123 },
        ],
      })
      expect(await comparedResolutions(join(data, 'read-models'))).toEqual({
        same: 23_066,
        // The desk moves the time of a resolution whenever what is resolved is saved again …
        earlier: 295,
        // … keeps that of one that was withdrawn at once …
        later: 1,
        // … and has none of some.
        'not told': 1_556,
      })
    },
  )

  test('cut short, leave those open that the desk had open', { timeout: 600_000 }, async (context) => {
    context.skip(!isThere, why)
    const cut = 30_000
    await using all = await openCsv(REAL)
    await using node = await startNode(config, { dataDir: join(dir, 'cut'), workers: 'inline' })
    const outcome = await run({ node, source: { ...all, rows: first(cut, all.rows) } })
    if (outcome.kind === 'stopped') throw new Error('it was stopped')
    const { readModels, expected } = outcome
    expect(wrongReadModels(readModels, expected)).toEqual([])
    const last = new Map<string, Record<string, string>>()
    for await (const record of first(cut, records())) last.set(record['number']!, record)
    const active = [...last.values()].filter((record) => record['active'] === 'true')
    expect(active.length).toBeGreaterThan(100)
    expect(Object.fromEntries(readModels.openByGroup.map(({ group, open }) => [group ?? '', open]))).toEqual(
      counted(active.map((record) => record['assignment_group']!)),
    )
    expect(Object.fromEntries(readModels.openByAssignee.map(({ assignee, open }) => [assignee ?? '', open]))).toEqual(
      counted(active.map((record) => record['assigned_to']!)),
    )
  })
})

/** The rows as they stand in the file, by column: also what the example does not read. */
function records(): AsyncIterable<Record<string, string>> {
  return createReadStream(REAL)
    .pipe(createGunzip())
    .pipe(parse({ bom: true, columns: true }))
}

/** How many resolutions are at the time that the desk told in the end. */
async function comparedResolutions(readModels: string): Promise<Record<string, number>> {
  const told = new Map<string, string>()
  for await (const record of records()) told.set(`incident/${record['number']}`, record['resolved_at']!)
  using db = new DatabaseSync(join(readModels, 'time-to-resolve', 'generation-1.db'), { readOnly: true })
  const rows = db.prepare('SELECT incident, resolved_at AS at FROM incidents').all() as {
    incident: string
    at: string
  }[]
  expect(rows).toHaveLength(told.size)
  return counted(
    rows.map(({ incident, at }) => {
      const right = told.get(incident)!
      return right === '' ? 'not told' : at === right ? 'same' : at < right ? 'earlier' : 'later'
    }),
  )
}

function counted(keys: readonly string[]): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(keys, (key) => key)].map(([key, each]) => [key, each.length]))
}

async function* first<Item>(count: number, items: AsyncIterable<Item>): AsyncGenerator<Item> {
  let taken = 0
  for await (const item of items) {
    yield item
    if ((taken += 1) === count) return
  }
}
