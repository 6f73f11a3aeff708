/**
 * `--compare`: the alternatives of compare/, and Penhold once more, driven by the very code that drives them, with the
 * same commands and the same events, and judged like them by what is found in its log afterwards.
 */
import { Rejected, startNode, type Node } from '../src/index.ts'
import { streamType } from '../src/log/stream.ts'
import { PaymentAccount } from './account.ts'
import type { AccountCommand, AccountEvent } from './compare/bank-account.ts'
import { Ledger } from './compare/ledger.ts'
import { comparePeers, measurePeer } from './compare/main.ts'
import type { Outcome, Peer } from './compare/peer.ts'
import type { MeasuredRow } from './compare/row.ts'
import { readEvents } from './replay.ts'
import { say, type Figure, type Row } from './report.ts'

/** `raw` holds the rows of this run that theirs are compared with. */
export async function measurePeers(dir: string, seconds: number, raw: readonly Row[]): Promise<Row[]> {
  const onRow = (row: { readonly peer: string }): void => say(`compare: ${row.peer}`)
  const own = await measurePeer(new PenholdPeer(), { seconds, dir, onRow })
  const others = await comparePeers({ seconds, dir, onRow })
  const measured = [...own, ...others].filter((row) => row.kind === 'measured')
  for (const row of others) if (row.kind === 'unavailable') say(`compare: ${row.peer} is left out: ${row.reason}`)
  const workloads = ['W1', 'W2', 'W3'] as const
  return workloads.flatMap((workload) =>
    measured.filter((row) => row.workload === workload).map((row) => rowOf(row, raw)),
  )
}

function rowOf(
  { workload, peer, version, acceptedPerSecond, p50Ms, p99Ms, eventsVerified }: MeasuredRow,
  raw: readonly Row[],
): Row {
  const figure: Figure =
    workload === 'W3' ? { kind: 'latency', p50Ms, p99Ms } : { kind: 'rate', perSecond: acceptedPerSecond }
  const ratio = (mode: string): number => {
    const beside = raw.find(({ id }) => id === `raw-${workload === 'W3' ? 1 : 256} ${mode}`)!.figure
    return magnitude(figure) / magnitude(beside)
  }
  const toRaw = { pool: ratio('pool'), synchronous: ratio('synchronous') }
  return { id: workload, what: `${peer} (${version})`, figure, toRaw, details: { acceptedPerSecond, eventsVerified } }
}

function magnitude(figure: Figure): number {
  return figure.kind === 'rate' ? figure.perSecond : figure.kind === 'latency' ? figure.p50Ms : NaN
}

class PenholdPeer implements Peer {
  readonly name = 'Penhold, same events'
  #node: Node | undefined
  #dataDir = ''

  async open(dir: string): Promise<string> {
    this.#dataDir = dir
    this.#node = await startNode(new URL('bank.config.ts', import.meta.url), { dataDir: dir })
    return 'this checkout'
  }

  async submit(accountId: string, { type, ...payment }: AccountCommand): Promise<Outcome> {
    try {
      await this.#node!.ref(PaymentAccount, accountId).ask(type, payment)
      return 'accepted'
    } catch (error) {
      if (error instanceof Rejected) return 'rejected'
      throw error
    }
  }

  async verify(): Promise<Ledger> {
    await this.close()
    const ledger = new Ledger()
    await readEvents(this.#dataDir, ({ stream, version, type, data }) => {
      const accountId = stream.slice(streamType(stream).length + 1)
      ledger.add({ accountId, version, event: { type, data } as AccountEvent })
    })
    return ledger
  }

  async close(): Promise<void> {
    await this.#node?.close()
    this.#node = undefined
  }
}
