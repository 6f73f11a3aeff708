import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hangingOf } from '../../src/cli/hanging.ts'
import { inboxNotes, inboxProblems, inboxTable, shownInboxes } from '../../src/cli/inbox-picture.ts'
import { notesOf, shownOf } from '../../src/cli/reactor-picture.ts'
import { scheduleProblems, scheduleTable, shownSchedules } from '../../src/cli/schedule-picture.ts'
import { shownWheels, wheelNotes, wheelProblems } from '../../src/cli/wheel-picture.ts'
import { defineOutbox, defineProcess, defineReactor } from '../../src/index.ts'
import type { LocalInbox } from '../../src/node/inboxes.ts'
import type { ToldSchedule } from '../../src/node/schedules.ts'
import { Account } from '../account.ts'
import { runCli } from '../cli-run.ts'
import { temporaryFolder } from '../temporary.ts'

const RUNS: LocalInbox = {
  name: 'payments',
  state: 'running',
  waitingMs: 0,
  trouble: undefined,
  place: '7-0',
  parked: 0,
  lost: 0,
  rejected: 0,
}

test('an inbox that no node runs is told, unless a node that does not answer may run it', () => {
  const told = [{ node: 'first', inboxes: [] }]
  const nowhere = shownInboxes(['payments'], { told, isWhole: true })
  expect(inboxProblems(nowhere)).toEqual([expect.stringContaining('no node runs inbox payments')])
  const unknown = shownInboxes(['payments'], { told, isWhole: false })
  expect(unknown).toMatchObject([{ name: 'payments', state: 'unknown', node: undefined }])
  expect(inboxProblems(unknown)).toEqual([])
  const runs = shownInboxes(['payments'], { told: [...told, { node: 'second', inboxes: [RUNS] }], isWhole: true })
  expect(runs).toEqual([{ ...RUNS, node: 'second' }])
  expect(inboxTable([...runs, ...nowhere])).toMatch(/^payments +second +running +0 +0 +0 +7-0\npayments +- +nowhere/m)
})

test('an inbox that waits is told with its reason in one line, and is a problem after a minute; what it has parked, with what to do', () => {
  const waits = (waitingMs: number) =>
    shownInboxes(['payments'], {
      told: [{ node: 'first', inboxes: [{ ...RUNS, state: 'waiting', waitingMs, trouble: 'it is\naway', parked: 3 }] }],
      isWhole: true,
    })
  const parked = 'inbox payments has parked 3 messages: penhold parked list inbox:payments'
  const line = (s: number): string => `inbox payments waits since ${s} s, and tries again: it is away`
  expect(inboxNotes(waits(59_000))).toEqual([line(59), parked])
  expect(inboxProblems(waits(59_000))).toEqual([])
  expect(inboxNotes(waits(61_000))).toEqual([parked])
  expect(inboxProblems(waits(61_000))).toEqual([line(61)])
})

test('timers that wait are told of all nodes together: those that stand still, and those of nobody', () => {
  const away = { shards: [1, 2], ms: 61_000, reason: 'nobody serves it' }
  const shown = shownWheels([
    { held: 2, waiting: away, ownerless: { order: 1 } },
    { held: 3, waiting: { ...away, shards: [3], ms: 5_000 }, ownerless: { order: 2, parcel: 1 } },
  ])
  expect(shown).toMatchObject({ held: 5, ownerless: { order: 3, parcel: 1 } })
  expect(wheelProblems(shown)).toEqual([
    'what runs timers waits in 3 shards since 61 s, and tries again: nobody serves it',
  ])
  expect(wheelNotes(shown)).toEqual([
    "3 timers of 'order' are due, and no config has it that serves them: they wait until one does",
    "1 timer of 'parcel' is due, and no config has it that serves them: they wait until one does",
  ])
  expect(wheelProblems(shownWheels([{ held: 0, waiting: undefined, ownerless: {} }]))).toEqual([])
})

test('a schedule is shown once, as a node says that can ask it; where none can, that is a problem', () => {
  const next = Date.UTC(2026, 4, 1, 3)
  const as = { cron: '0 3 * * *', timezone: 'Europe/Berlin', missed: 'once' } as const
  const told = (name: string, more: Partial<ToldSchedule>): ToldSchedule => {
    return { name, ...as, state: 'running', next: undefined, last: undefined, trouble: undefined, ...more }
  }
  const unknown = { state: 'unknown', trouble: 'nobody\nserves it' } as const
  const answers = [
    [told('nightly', unknown), told('away', unknown)],
    [told('nightly', { next }), told('stops', { state: 'stopped', last: next })],
    [told('nightly', unknown), told('away', unknown)],
  ]
  const ofConfig = ['nightly', 'new'].map((name) => ({ ...as, name }))
  const shown = shownSchedules(ofConfig, { told: answers, isWhole: false })
  expect(scheduleTable(shown).split('\n').slice(1)).toEqual([
    'away      unknown  0 3 * * *  Europe/Berlin  once    -                         -',
    'nightly   running  0 3 * * *  Europe/Berlin  once    2026-05-01T03:00:00.000Z  -',
    'stops     stopped  0 3 * * *  Europe/Berlin  once    -                         2026-05-01T03:00:00.000Z',
  ])
  expect(scheduleProblems(shown)).toEqual(['schedule away does not say how it is: nobody serves it'])
  const whole = shownSchedules(ofConfig, { told: answers, isWhole: true })
  expect(whole.map(({ name, state }) => [name, state])).toEqual([
    ['away', 'unknown'],
    ['new', 'nowhere'],
    ['nightly', 'running'],
    ['stops', 'stopped'],
  ])
  expect(scheduleProblems(whole)).toContain('no node has schedule new; start them anew with this config')
})

test('what is parked is told with what lists it', () => {
  const status = { kind: 'process', name: 'savings.told', state: 'running', lanes: [], events: 0 } as const
  const told = { ...status, parkedStreams: 1_200, trouble: undefined, waiting: undefined }
  expect(notesOf(shownOf([told], new Set()))).toEqual([
    'process savings.told has parked events of 1,200 streams: penhold parked list savings.told',
  ])
})

test('the table of events has reactors, processes and outboxes, each as it is called elsewhere', () => {
  const start = { startAt: 'now', from: [Account] } as const
  const reactors = [defineReactor({ ...start, name: 'mails', mode: 'synchronous', on: { MoneyDeposited: () => 0 } })]
  const publisher = async (): Promise<void> => undefined
  const map = { MoneyDeposited: () => undefined }
  const outboxes = [
    defineOutbox({ startAt: 'now', name: 'prices', from: 'published', map: { Priced: () => undefined }, publisher }),
    defineOutbox({ ...start, name: 'deposits', map, publisher, onFailure: 'halt' }),
  ]
  const processes = [
    defineProcess({
      ...start,
      type: 'savings',
      initialState: () => 0,
      correlate: { MoneyDeposited: ({ stream }) => stream },
      on: { MoneyDeposited: () => undefined },
    }),
  ]
  const parks = { mode: 'asynchronous', onFailure: 'park' }
  expect(hangingOf({ reactors, processes, outboxes })).toEqual([
    { event: '*/Priced', kind: 'outbox', name: 'prices', ...parks },
    { event: 'account/MoneyDeposited', kind: 'outbox', name: 'deposits', mode: 'asynchronous', onFailure: 'halt' },
    { event: 'account/MoneyDeposited', kind: 'reactor', name: 'mails', mode: 'synchronous', onFailure: 'park' },
    { event: 'account/MoneyDeposited', kind: 'process', name: 'savings.told', ...parks },
  ])
})

test('of a node alone penhold reactors shows what hangs on its events, also where there is no reactor', async () => {
  const source = (path: string): string => JSON.stringify(join(import.meta.dirname, '../..', path))
  const config = (more: string): string => {
    const file = join(temporaryFolder(), 'cluster.config.ts')
    fs.writeFileSync(
      file,
      `import { defineCluster, defineProcess } from ${source('src/index.ts')}
       import { Account } from ${source('test/account.ts')}
       const processes = [defineProcess({
         type: 'savings', from: [Account], startAt: 'now', initialState: () => 0,
         correlate: { MoneyDeposited: ({ stream }) => stream }, on: { MoneyDeposited: () => undefined },
       })]
       export default defineCluster({ name: 'alone', aggregates: [Account], dataDir: 'data', ${more} })`,
    )
    return file
  }
  const said = await runCli('reactors', '--config', config('processes'))
  expect(said).toMatchObject({ code: 0, err: '' })
  expect(said.out).toMatch(/^account\/MoneyDeposited +savings.told +process +asynchronous +park$/m)
  expect((await runCli('reactors', '--config', config(''))).out).toBe(
    "'alone' has nothing that takes events or messages\n",
  )
})
