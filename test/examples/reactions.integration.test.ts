/** What the desk's events set in motion, with the real parts: a mail server's process, a Redis, a node that dies. */
import { execFile, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual, promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { generateIncidents } from '../../examples/incidents/generated.ts'
import { Incident } from '../../examples/incidents/incident.ts'
import { Intake, type IntakeOptions } from '../../examples/incidents/intake.ts'
import { createMailer } from '../../examples/incidents/mail/mailer.ts'
import { MailServer, type ReceivedMail } from '../../examples/incidents/mail/server-process.ts'
import { BREACHES, defineBreaches, SLA_MISSED, WAITED_TOO_LONG } from '../../examples/incidents/reactions/breaches.ts'
import { defineEscalation } from '../../examples/incidents/reactions/escalation.ts'
import { expectedOf, msOf } from '../../examples/incidents/reactions/expected.ts'
import {
  findingsOf,
  readBreaches,
  readEscalations,
  type Findings,
} from '../../examples/incidents/reactions/findings.ts'
import { defineClosingMails, defineConfirmations } from '../../examples/incidents/reactions/mails.ts'
import { openCsv, type Row } from '../../examples/incidents/rows.ts'
import { defineCluster, startNode, type ClusterConfig, type Node, type Unsettled } from '../../src/index.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

const LIVE = fileURLToPath(new URL('../../examples/incidents/live.ts', import.meta.url))
const REAL = fileURLToPath(new URL('../../../shared/data/incidents/events.csv.gz', import.meta.url))

function desk(parts: Partial<ClusterConfig>): ClusterConfig {
  const common = { name: 'desk', aggregates: [Incident], dataDir: join(temporaryFolder(), 'data'), shards: 4 }
  return defineCluster({ ...common, workers: 'inline', ...parts })
}

/** Reports the rows as fast as they go. */
async function report(node: Node, rows: readonly Row[]): Promise<void> {
  await new Intake(node).take(ReadableStream.from(rows))
}

/** Resolves once all that has happened has set in motion what it does. */
async function settled(node: Node): Promise<void> {
  const states = async (): Promise<readonly string[]> => {
    const { processes, reactors, outboxes } = await node.status()
    return [...new Set([...processes, ...reactors, ...outboxes].map(({ state }) => state))]
  }
  await expect.poll(states, { timeout: 600_000 }).toEqual(['caught up'])
}

const generated = (incidents: number): Promise<Row[]> => Array.fromAsync(generateIncidents({ seed: 3, incidents }).rows)

test('mails about a closing go out whatever the mail server does, and what it took twice has one id', async () => {
  await using server = await MailServer.start(join(temporaryFolder(), 'mails.jsonl'))
  const send = createMailer(server.url)
  const mails = [defineConfirmations(send), defineClosingMails(send)]
  await using node = await startNode(desk({ reactors: mails }))
  const rows = await generated(40)
  const closed = [...Map.groupBy(rows, ({ number }) => number).values()].filter(
    (each) => each.at(-1)!.report.state === 'Closed',
  )
  const came = (each: readonly Row[]): readonly ReceivedMail[] =>
    server.mails().filter(({ subject }) => subject.includes(each[0]!.number))
  const [well, denied, refused, away] = closed
  await report(node, well!)
  await expect.poll(() => came(well!).length).toBe(2)
  // Of a second closing nobody tells but the count of reopenings.
  const last = well!.at(-1)!
  await report(node, [...well!, { ...last, report: { ...last.report, reopenings: last.report.reopenings + 1 } }])
  await expect.poll(() => came(well!).length).toBe(4)

  // It has them, and says that it has not: they come again.
  await server.be('takes and denies')
  await report(node, denied!)
  await expect.poll(() => came(denied!).length, { timeout: 60_000 }).toBeGreaterThan(3)
  await server.be('refuses')
  await report(node, refused!)
  // Nothing of these is tried again, nor of those that were denied so far.
  const parked = async () => (await Promise.all(mails.map((each) => node.reactor(each).parked()))).flat()
  await expect.poll(parked, { timeout: 60_000 }).toHaveLength(4)
  for (const { reason } of await parked()) expect(reason).toContain('no such mailbox')
  await server.be('well')
  for (const each of mails) {
    for (const { stream } of await node.reactor(each).parked()) await node.reactor(each).retryParked(stream)
  }
  expect(came(refused!)).toHaveLength(2)
  await server.kill()
  await report(node, away!)
  await expect
    .poll(async () => (await node.status()).reactors.map(({ trouble }) => trouble))
    .toEqual([expect.stringContaining('ECONNREFUSED') as unknown, expect.stringContaining('ECONNREFUSED') as unknown])
  await server.comeBack()
  await settled(node)

  for (const each of [well!, denied!, refused!, away!]) {
    const { number, updatedBy } = each.at(-1)!
    const told = came(each)
    expect(new Set(told.map(({ id }) => id)).size, number).toBe(each === well ? 4 : 2)
    expect(new Set(told.map(({ to }) => to))).toEqual(
      new Set([`agent-${updatedBy}@desk.example`, `incident-${number}@desk.example`]),
    )
  }
  const { confirmations, closingMails } = findingsOf({ mails: server.mails(), escalations: [], breaches: undefined })
  expect([confirmations.different, closingMails.different]).toEqual([5, 5])
})

test('who closes an incident hears at once whether the confirmation went out, and not about other mails', async () => {
  await using server = await MailServer.start(join(temporaryFolder(), 'mails.jsonl'))
  const send = createMailer(server.url)
  const confirmations = defineConfirmations(send)
  await using node = await startNode(desk({ reactors: [confirmations, defineClosingMails(send)] }))
  const unsettled: (readonly Unsettled[] | undefined)[] = []
  const closings = (await generated(20)).filter(({ report: { state } }) => state !== '-100')
  const close = async (number: string): Promise<void> => {
    const onAccepted: IntakeOptions['onAccepted'] = ({ report: { state } }, reply) =>
      state === 'Closed' ? void unsettled.push(reply.unsettled) : expect(reply.unsettled).toBeUndefined()
    const rows = closings.filter((row) => row.number === number)
    expect(rows.at(-1)!.report.state).toBe('Closed')
    await new Intake(node, { onAccepted }).take(ReadableStream.from(rows))
  }
  const confirmed = (number: string): boolean => server.mails().some(({ subject }) => subject === `Closed: ${number}`)
  const [first, second, third] = [...new Set(closings.map(({ number }) => number))]
  await close(first!)
  expect(confirmed(first!)).toBe(true)
  await server.be('refuses')
  await close(second!)
  await server.kill()
  await close(third!)
  const failed = (reason: string): unknown => [
    { reactor: 'closing-confirmations', state: 'failed', reason: expect.stringContaining(reason) as unknown },
  ]
  expect(unsettled).toEqual([undefined, failed('no such mailbox'), failed('ECONNREFUSED')])
  await server.comeBack()
  await settled(node)
  expect(confirmed(second!)).toBe(false)
  await node.reactor(confirmations).retryParked(`incident/${second!}`)
  expect([second!, third!].map(confirmed)).toEqual([true, true])
})

test('where the desk has a history, only what waits still is escalated, and only new closings are told by mail', async () => {
  await using server = await MailServer.start(join(temporaryFolder(), 'mails.jsonl'))
  const send = createMailer(server.url)
  const before = desk({})
  const whole = new Set((await generated(40)).map(({ number }) => number))
  const known = new Set<string>()
  // Of some all that became of them, and of the others how they were reported.
  const rows = (await generated(120)).filter(
    ({ number }) => whole.has(number) || (!known.has(number) && known.add(number)),
  )
  expect(expectedOf(rows).closings).toBeGreaterThan(30)
  {
    await using node = await startNode(before)
    await report(node, rows)
  }
  // Whoever waits has waited for too long.
  const processes = [defineEscalation({ hourMs: 0 })]
  const reactors = [defineConfirmations(send), defineClosingMails(send)]
  await using node = await startNode({ ...before, processes, reactors })
  await settled(node)
  const last = [...Map.groupBy(rows, ({ number }) => number).values()].map((each) =>
    each.findLast(({ report: { state } }) => state !== '-100')!,
  )
  const waiting = last.filter(({ report: { state } }) => state === 'New' || state.startsWith('Awaiting'))
  expect(waiting.length).toBeGreaterThan(10)
  const numbers = async (): Promise<readonly string[]> =>
    (await readEscalations(node.store)).map((escalation) => escalation.split(' ')[0]!)
  await expect.poll(numbers, { timeout: 60_000 }).toEqual(waiting.map(({ number }) => number).toSorted())
  await settled(node)
  expect(await numbers()).toHaveLength(waiting.length)
  expect(server.mails()).toEqual([])
})

test.skipIf(!hasRedis)(
  'each breach is published, in the order of its incident, also over a restart (needs redis-server)',
  { timeout: 3_600_000 },
  async () => {
    const redis = await startOwnRedis()
    const rows = await someRows()
    // Everything that waits is escalated as soon as time gets to it.
    const processes = [defineEscalation({ hourMs: 0 })]
    const config = desk({ processes, outboxes: [defineBreaches(redis.url)] })
    {
      await using node = await startNode(config)
      await report(node, rows.slice(0, rows.length / 2))
    }
    await using node = await startNode(config)
    await report(node, rows)
    await settled(node)
    const published = async (type: string): Promise<readonly string[]> => {
      const ids = new Map((await readBreaches(redis.url)).map((breach) => [breach.id, breach]))
      return [...ids.values()].flatMap((breach) => (breach.type === type ? [breach.subject] : [])).toSorted()
    }
    const { late } = expectedOf(rows)
    expect(late.length).toBeGreaterThan(20)
    expect(await published(SLA_MISSED)).toEqual(late)
    // Who waits still may be escalated any moment.
    const difference = async (): Promise<unknown> => {
      const escalated = (await readEscalations(node.store)).map((escalation) => escalation.split(' ')[0]!)
      const told = await published(WAITED_TOO_LONG)
      expect(escalated.length).toBeGreaterThan(5)
      return isDeepStrictEqual(told, escalated) ? undefined : { told, escalated }
    }
    await expect.poll(difference, { timeout: 60_000 }).toBeUndefined()
    const breaches = await readBreaches(redis.url)
    expect(findingsOf({ mails: [], escalations: [], breaches }).published).toMatchObject({ isInOrder: true })
    expect(new Set(breaches.map(({ subject }) => subject)).size).toBeLessThan(
      new Set(breaches.map(({ id }) => id)).size,
    )
  },
)

/** Of the real desk where its records are; all of them with PENHOLD_ALL_INCIDENTS=1. */
async function someRows(): Promise<readonly Row[]> {
  if (!existsSync(REAL)) return await generated(300)
  await using source = await openCsv(REAL)
  const rows = await Array.fromAsync(source.rows)
  // An SLA that was missed is told at the closing, days later: these are whole incidents.
  const first = new Set(rows.slice(0, 300).map(({ number }) => number))
  if (process.env['PENHOLD_ALL_INCIDENTS'] === undefined) return rows.filter(({ number }) => first.has(number))
  expect(expectedOf(rows).late).toHaveLength(9_115)
  return rows
}

async function startOwnRedis(): Promise<RedisProcess> {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  return redis
}

/** Of these four wait for too long where the rows end. */
const WAITING = { seed: 22, incidents: 80 }

test(
  'npm run incidents, killed in the middle and run again: no closing goes untold, no wait is escalated twice, no breach is lost',
  { timeout: 180_000 },
  async () => {
    const redis = hasRedis ? await startOwnRedis() : undefined
    const data = join(temporaryFolder(), 'data')
    const args = ['--incidents', `${WAITING.incidents}`, '--seed', `${WAITING.seed}`, '--data', data, '--json']
    const env = { ...process.env, DESK_HOUR_MS: '4', ...(redis && { REDIS_URL: redis.url }) }
    const live = () => spawn(process.execPath, [LIVE, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const taken = (): number => {
      const file = join(data, 'mails.jsonl')
      return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0
    }
    const first = live()
    const killed = new Promise((resolve) => first.once('close', resolve))
    await expect.poll(taken, { timeout: 80_000, interval: 5 }).toBeGreaterThan(40)
    first.kill('SIGKILL')
    await killed
    const last = live()
    const said = { stdout: '', stderr: '' }
    last.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
    last.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
    const code = await new Promise((resolve) => last.once('close', resolve))
    expect({ code, stderr: said.stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('wrong') as unknown })
    const { confirmations, closingMails, escalations, published } = JSON.parse(said.stdout) as Findings
    const all = await Array.fromAsync(generateIncidents(WAITING).rows)
    const rows = all.filter((row) => msOf(row) - msOf(all[0]!) <= 14 * 86_400_000)
    const { closings, late, goingOn } = expectedOf(rows, msOf(rows.at(-1)!))
    expect([closings, goingOn.length]).toEqual([76, 4])
    expect(escalations).toEqual(expect.arrayContaining([...goingOn]))
    expect([confirmations.different, closingMails.different]).toEqual([closings, closings])
    expect(new Set(escalations).size).toBe(escalations.length)
    if (redis === undefined) return
    expect(published).toMatchObject({ late: { different: late.length }, isInOrder: true })
    expect(await redis.admin.xlen(BREACHES)).toBe(published!.late.times + published!.waits.times)
  },
)

test('npm run incidents says in words what is wrong', async () => {
  const env = { ...process.env, DESK_HOUR_MS: 'long' }
  await expect(promisify(execFile)(process.execPath, [LIVE], { env })).rejects.toMatchObject({
    code: 1,
    stderr: `DESK_HOUR_MS is 'long'; give a whole number of milliseconds from 1 to 9999999\n`,
  })
})
