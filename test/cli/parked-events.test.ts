import { expect, test } from 'vitest'
import { ParkedEvents } from '../../src/cli/parked-events.ts'
import { ParkedMessages } from '../../src/cli/parked-messages.ts'
import type { ProjectionCluster } from '../../src/cli/projection-cluster.ts'
import { LISTED_MAX } from '../../src/react/consumer-operations.ts'

/** A cluster whose nodes answer so. */
function clusterOf(answer: (call: string, options: Readonly<Record<string, unknown>>) => unknown): ProjectionCluster {
  const callAny: ProjectionCluster['callAny'] = async ({ call, options = {} }) => answer(call, options)
  return { callAny } as unknown as ProjectionCluster
}

function parked(count: number, reasonOf: (n: number) => string) {
  return Array.from({ length: count }, (_, n) => {
    return {
      stream: `a/${n}`,
      version: 1,
      type: 'Done',
      position: 10 * n,
      reason: reasonOf(n),
      parkedAt: 0,
      failures: 2,
    }
  })
}

test('of much that is parked it is told how many there are of each reason, and that there may be more', async () => {
  const events = parked(LISTED_MAX, (n) => (n % 4 === 0 ? 'it is\naway' : n > 900 ? '' : 'it is wrong'))
  const { text, json } = await new ParkedEvents(
    clusterOf(() => events),
    'mails',
  ).list()
  expect(text).toMatch(
    /^STREAMS +REASON\n +675 +it is wrong\n +250 +it is away\n +75 +\(waits behind one that was skipped\)$/m,
  )
  expect(text).toMatch(/the oldest 1,000 streams; there may be more$/)
  expect(json).toMatchObject({ reactor: 'mails', isWhole: false })
  const few = await new ParkedEvents(
    clusterOf(() => events.slice(0, 2)),
    'mails',
  ).list()
  expect(few.text).toMatch(/^STREAM +VERSION +TYPE +LAST PARKED +TIMES +REASON\n/)
  expect(few.text).not.toContain('STREAMS')
  expect(few.json).toMatchObject({ isWhole: true })
  const many = await new ParkedEvents(
    clusterOf(() => parked(50, String)),
    'mails',
  ).list()
  expect(many.text).toContain('and 40 more reasons')
})

test('who skips an event is told how what waits behind it goes on', async () => {
  const parking = new ParkedEvents(
    clusterOf(() => undefined),
    'outbox:mails',
  )
  const { text } = await parking.skip({ stream: 'a/1' }, 4, 'entered twice')
  expect(text).toBe(
    'version 4 of a/1 is skipped; what waits behind it goes on with: penhold parked retry outbox:mails --stream a/1',
  )
})

test('what is tried again is asked for page by page, from the last one on that stands where it says', async () => {
  const events = parked(LISTED_MAX, (n) => (n < 990 ? 'it fails' : ''))
  const asked: unknown[] = []
  const cluster = clusterOf((call, options) => {
    asked.push([call, options])
    return options['from'] === 0 ? events : events.slice(0, 3)
  })
  const parking = new ParkedEvents(cluster, 'mails')
  const { rows, next } = await parking.rows({}, 0)
  expect(rows).toHaveLength(LISTED_MAX)
  expect(next).toBe(9_890)
  expect(await parking.rows({}, next!)).toEqual({ rows: ['a/0', 'a/1', 'a/2'], next: undefined })
  expect(await parking.rows({ stream: 'b/1' }, 0)).toEqual({ rows: ['b/1'], next: undefined })
  expect(asked).toEqual([
    ['reactor.parked', { limit: LISTED_MAX, from: 0 }],
    ['reactor.parked', { limit: LISTED_MAX, from: 9_890 }],
  ])
})

test('what strangers have sent is no command to a terminal', async () => {
  const outline = { id: '1-0', stream: '', reason: 'Error: \u001b]0;x\u0007', at: 0, isAsked: false }
  const cluster = clusterOf(() => ({ ...outline, fields: [['note', '\u001b[2Jgone\nnow']] }))
  const { text, json } = await new ParkedMessages(cluster, 'payments').show({ message: '1-0' })
  expect(text).toBe('note  \u{fffd}[2Jgone now\n\nError: \u{fffd}]0;x\u{fffd}')
  expect(json).toMatchObject({ inbox: 'payments', fields: { note: '\u001b[2Jgone\nnow' } })
})
