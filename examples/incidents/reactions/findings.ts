/** What a run has set in motion: what is in the log, what the mail server took, and what stands in the Redis Stream. */
import { Redis } from 'ioredis'
import { idOf, type NodeStore } from '../../../src/index.ts'
import type { ReceivedMail } from '../mail/server-process.ts'
import { BREACHES, SLA_MISSED, WAITED_TOO_LONG } from './breaches.ts'
import { msOf, type Expected } from './expected.ts'
import type { Row } from '../rows.ts'

const DAY_MS = 86_400_000

/** How often they came, and how many there are: what came twice has an id that is known. */
export interface Came {
  readonly times: number
  readonly different: number
}

/** A message about a breach, as far as it matters here. */
export interface Breach {
  readonly id: string
  readonly type: string
  readonly subject: string
  /** Which of the incident's events it tells of, in digits. */
  readonly version: string
}

export interface Findings {
  readonly confirmations: Came
  readonly closingMails: Came
  /** As `number since`, sorted, as often as it happened. */
  readonly escalations: readonly string[]
  /** Undefined where there was no Redis. */
  readonly published:
    | {
        readonly late: Came
        readonly waits: Came
        /** Of each incident, as they came: whether the first copies are in the order of its events. */
        readonly isInOrder: boolean
      }
    | undefined
}

export async function readEscalations(store: Pick<NodeStore, 'readAll'>): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { type, stream, data } of store.readAll({ categories: ['incident'] })) {
    if (type !== 'IncidentEscalated') continue
    found.push(`${idOf({ stream })} ${(data as { readonly since: number }).since}`)
  }
  return found.toSorted()
}

/** All that was published, in the order of the stream. */
export async function readBreaches(url: string): Promise<readonly Breach[]> {
  const redis = new Redis(url)
  try {
    const entries = await redis.xrange(BREACHES, '-', '+')
    return entries.map(([, fields]) => JSON.parse(fields[fields.indexOf('event') + 1]!) as Breach)
  } finally {
    redis.disconnect()
  }
}

export function findingsOf(given: {
  readonly mails: readonly ReceivedMail[]
  readonly escalations: readonly string[]
  readonly breaches: readonly Breach[] | undefined
}): Findings {
  const { mails, escalations, breaches } = given
  return {
    confirmations: countOf(mails.filter(({ to }) => to.startsWith('agent-'))),
    closingMails: countOf(mails.filter(({ to }) => to.startsWith('incident-'))),
    escalations,
    published: breaches && {
      late: countOf(breaches.filter(({ type }) => type === SLA_MISSED)),
      waits: countOf(breaches.filter(({ type }) => type === WAITED_TOO_LONG)),
      isInOrder: isInOrder(breaches),
    },
  }
}

function countOf(came: readonly { readonly id: string }[]): Came {
  return { times: came.length, different: new Set(came.map(({ id }) => id)).size }
}

function isInOrder(breaches: readonly Breach[]): boolean {
  const known = new Set<string>()
  const versions = new Map<string, number>()
  return breaches.every(({ id, subject, version }) => {
    if (known.has(id)) return true
    known.add(id)
    const before = versions.get(subject) ?? 0
    versions.set(subject, Number(version))
    return Number(version) > before
  })
}

/**
 * Where it is not what the rows say. Of escalations, those that happened twice, and waits that go on: here time is the
 * machine's, so that who moves on at the last moment may be late, or early.
 */
export function wrongFindings(found: Findings, { closings, late, goingOn }: Expected): readonly string[] {
  const { confirmations, closingMails, escalations, published } = found
  const numbers = {
    confirmations: [confirmations.different, closings],
    'mails to reporters': [closingMails.different, closings],
    'waits that go on for too long, and were escalated': [
      goingOn.filter((wait) => escalations.includes(wait)).length,
      goingOn.length,
    ],
    'waits that were escalated twice': [escalations.length - new Set(escalations).size, 0],
    ...(published && { 'missed SLAs that were published': [published.late.different, late.length] }),
  }
  return [
    ...Object.entries(numbers)
      .filter(([, [is, shouldBe]]) => is !== shouldBe)
      .map(([name, [is, shouldBe]]) => `${name}: ${is}, and should be ${shouldBe}`),
    ...(published?.isInOrder === false ? ['what was published of an incident is out of order'] : []),
  ]
}

/** For people: what was found, and what the rows say. */
export function toTable(given: {
  readonly found: Findings
  readonly expected: Expected
  /** Closings whose reply said that the confirmation had not gone out. */
  readonly unconfirmed: number
  readonly rows: readonly Row[]
  readonly seconds: number
}): string {
  const { found, expected, unconfirmed, rows, seconds } = given
  const { confirmations, closingMails, escalations, published } = found
  const days = (msOf(rows.at(-1)!) - msOf(rows[0]!)) / DAY_MS
  const line = (name: string, count: number, more = ''): string =>
    `  ${name.padEnd(28)}${count.toLocaleString('en').padStart(8)}   ${more}`.trimEnd()
  const came = (name: string, { times, different }: Came): string =>
    line(name, different, times > different ? `${times - different} came more than once` : '')
  return [
    line('reports', rows.length, `${days.toFixed(0)} days of the desk in ${seconds.toFixed(0)} seconds`),
    line('closings', expected.closings),
    came('  confirmed by mail', confirmations),
    line('  not before the reply', unconfirmed),
    came('  mails to reporters', closingMails),
    line('waits that were escalated', escalations.length, `by the rows: ${expected.tooLong.length}`),
    line('incidents that are late', expected.late.length),
    ...(published
      ? [came('published: SLA missed', published.late), came('published: waited too long', published.waits)]
      : []),
  ].join('\n')
}
