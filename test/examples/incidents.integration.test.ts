import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDice } from '../../examples/incidents/dice.ts'

const MAIN = fileURLToPath(new URL('../../examples/incidents/main.ts', import.meta.url))
const REAL = fileURLToPath(new URL('../../../shared/data/incidents/events.csv.gz', import.meta.url))
const KILLS = 6
/** A run takes about a second: kills fall everywhere from the start of the process to its end. */
const KILLED_WITHIN_MS = 1_200
const SEED = Number(process.env.PENHOLD_SEED ?? Date.now() % 1_000_000)

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

/** Runs the demo; with `killAfterMs` it is killed then, if it has not ended by itself. */
function demo(args: readonly string[], killAfterMs?: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const output = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
    const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs)
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
  { timeout: 120_000 },
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

test('a demo whose data directory is in use says so and ends with 1', { timeout: 60_000 }, async () => {
  const args = ['--incidents', '1500', '--data', join(dir, 'in-use')]
  const [one, other] = await Promise.all([demo(args), demo(args)])
  expect(new Set([one.code, other.code])).toEqual(new Set([0, 1]))
  expect(one.stderr + other.stderr).toContain('DataDirectoryInUse')
})

test('bad arguments end with 2, an unreadable file with 1, each in a line or two', { timeout: 60_000 }, async () => {
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

test('the records of a real service desk end with their ground truth', { timeout: 300_000 }, async (context) => {
  context.skip(!existsSync(REAL), 'the records are not part of this repository; see examples/incidents/README.md')
  expect(numbersOf(await demo(['--input', REAL, '--json']))).toEqual({
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
})
