/** One node of the example, a process of its own: it serves its shards, and takes rows in through its own refs. */
import { startNode, type Node } from '../../src/index.ts'
import { messageOf } from '../incidents/demo-error.ts'
import { generateIncidents } from '../incidents/generated.ts'
import { Intake } from '../incidents/intake.ts'
import { askReadModels } from '../incidents/read-models/read-models.ts'
import { openCsv, type Row, type Source } from '../incidents/rows.ts'
import { tally } from '../incidents/tally.ts'
import type { FromNode, Job, ToNode } from './message.ts'

const CONFIG = new URL('../../cluster.config.ts', import.meta.url)
const TOLD_EVERY_MS = 100
/** Few under way at once, so that what a caller waits for is the cluster and not its turn. */
const WINDOW = 32

const [dataDir = '', redis = '', nodeName = ''] = process.argv.slice(2)
const node = await startNode(CONFIG, { dataDir, redis, nodeName, workers: 1 })
/** The longest that a caller has waited since it was told last. */
let slowestMs = 0

process.on('message', (told: ToNode) => {
  void answer(told).catch((error: unknown) => say({ kind: 'failed', message: messageOf(error) }))
})
// Whoever started it is gone.
process.on('disconnect', () => void node.close())
say({ kind: 'serving' })

async function answer(told: ToNode): Promise<void> {
  switch (told.kind) {
    case 'take':
      await take(told.job)
      break
    case 'tally':
      say({ kind: 'tallied', tally: await tally(node, told.numbers) })
      break
    case 'ask':
      say({ kind: 'asked', readModels: await askReadModels(node, told.after) })
      break
    case 'close':
      await node.close()
      say({ kind: 'closed' })
      process.disconnect()
  }
}

async function take(job: Job): Promise<void> {
  await using source: Source = job.input === undefined ? generateIncidents(job) : await openCsv(job.input)
  const intake = new Intake(timed(node), { window: WINDOW })
  const timer = setInterval(() => {
    say({ kind: 'rows', rows: intake.replies.rows, slowestMs })
    slowestMs = 0
  }, TOLD_EVERY_MS)
  try {
    await intake.take(partOf(source.rows, job))
  } finally {
    clearInterval(timer)
  }
  const { replies, numbers, position } = intake
  say({ kind: 'rows', rows: replies.rows, slowestMs })
  say({ kind: 'taken', replies, numbers, position })
}

async function* partOf(rows: AsyncIterable<Row>, { part, parts }: Job): AsyncGenerator<Row> {
  const places = new Map<string, number>()
  for await (const row of rows) {
    const place = places.get(row.number) ?? places.size
    places.set(row.number, place)
    if (place % parts === part) yield row
  }
}

/** The node, with an eye on how long each ask takes. */
function timed(serving: Node): Pick<Node, 'ref'> {
  return {
    ref(aggregate, id) {
      const ref = serving.ref(aggregate, id)
      const ask: typeof ref.ask = async (...given) => {
        const startedAt = performance.now()
        try {
          return await ref.ask(...given)
        } finally {
          slowestMs = Math.max(slowestMs, performance.now() - startedAt)
        }
      }
      return { ...ref, stream: ref.stream, ask }
    },
  }
}

function say(message: FromNode): void {
  process.send?.(message)
}
