/**
 * The inbox of a simulated cluster, whose messages are payments to tills, the row that it reads, who sends and who looks after
 * it. In the end each payment was entered once, in order, but for those that somebody has given up, or taken away.
 */
import { defineInbox, deriveId, type Inbox, type InboxMessage } from '../../../src/index.ts'
import type { InboxStatus } from '../../../src/node/inboxes.ts'
import type { RunningNode } from '../../../src/node/running-node.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import { SimulatedBroker } from '../../../src/testing/simulated-broker.ts'
import type { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import type { NodeParts, SimulatedNode } from '../../../src/testing/simulated-node.ts'
import type { SimulatedThread } from '../../../src/testing/simulated-thread.ts'
import type { Found } from '../ground-truth.ts'
import { attemptAt } from '../operate.ts'
import { TILLS, type InboxDeed, type Letter, type Removal, type Taking } from './plan.ts'
import type { Till } from './till.ts'

const NAME = 'payments'
const ROW = 'paid'
/** Once all works again everything is entered within this time. */
const END_MS = 90_000
const LOOK_MS = 250
/** The longest wait after a try in vain, a look at the end of the row, and the record of what was found there take no longer. */
const SETTLE_MS = 15_000

/** What a message asks for. */
interface Payment {
  readonly id: string
  readonly till: number
  readonly n: number
  /** It cannot be mapped until that is mended. */
  readonly isUnreadable: boolean
  /** It was for somebody else, or is said by an earlier one too. */
  readonly isNothing: boolean
  /** A later one says the same. */
  isRepeated: boolean
  isRemoved: boolean
  isSkipped: boolean
}

interface InboxCast {
  readonly plan: Taking
  readonly areIdsKept: boolean
  readonly till: Till
  readonly declined: ReadonlySet<number>
}

export class InboxParty {
  readonly #cluster: SimulatedCluster
  readonly #plan: Taking
  /** Whether a command is known for as long as it takes, so that a payment may come as two messages. */
  readonly #areIdsKept: boolean
  readonly #till: Till
  /** Payments that were rejected, once or more often. */
  readonly #declined: ReadonlySet<number>
  readonly #broker: SimulatedBroker
  readonly #inbox: Inbox
  readonly #payments: Payment[] = []
  readonly #problems: string[] = []
  #isMended = false
  #status: InboxStatus | undefined

  constructor(cluster: SimulatedCluster, { plan, areIdsKept, till, declined }: InboxCast) {
    const { kernel } = cluster
    this.#cluster = cluster
    this.#plan = plan
    this.#till = till
    this.#declined = declined
    this.#areIdsKept = areIdsKept
    this.#broker = new SimulatedBroker({ kernel, random: new SeededRandom(cluster.random.next()) })
    this.#broker.server.schedule(plan.brokerFaults)
    // By its name alone a node's own is asked for.
    this.#inbox = this.#define({ name: ROW, open: () => Promise.reject(new Error('nobody runs it')) as never })
    for (const letter of plan.letters) kernel.after(letter.atMs, () => this.#send(letter))
    for (const removal of plan.removals) kernel.after(removal.atMs, () => this.#remove(removal))
    for (const deed of plan.deeds)
      kernel.after(deed.atMs, () => void this.#at(deed.node, (node) => this.#do(deed, node)))
  }

  parts(place: string, main: SimulatedThread): NodeParts {
    return { inboxes: [this.#define(this.#broker.source(ROW, place, main))] }
  }

  heal(): void {
    this.#isMended = true
    this.#broker.server.heal()
  }

  /** What the log has beside the accounts. */
  streams(): readonly string[] {
    return [`$inbox/${NAME}`, ...tills()]
  }

  /** That in peace the inbox comes to the end of its row. */
  async unfinished(): Promise<string[]> {
    const { kernel } = this.#cluster
    let isAtEnd = false
    void this.#bringToAnEnd().then(() => (isAtEnd = true))
    if (await kernel.run({ untilMs: kernel.now + END_MS, isDone: () => isAtEnd })) return []
    return [`the inbox does not come to an end: ${JSON.stringify(this.#status)}`]
  }

  broken({ others }: Found): string[] {
    const problems = [...this.#problems]
    const entered = new Map(tills().map((stream) => [stream, paidIn(others.get(stream) ?? [])]))
    for (const [stream, numbers] of entered) {
      if (new Set(numbers).size < numbers.length) problems.push(`${stream} has entered ${numbers.join()}: one twice`)
    }
    const wanted = this.#payments.filter(({ isNothing }) => !isNothing)
    const missing = wanted.filter(({ till, n }) => !entered.get(tillOf(till))!.includes(n))
    for (const { n, till } of missing.filter((each) => !this.#isFree(each))) {
      problems.push(`payment ${n} was never entered in ${tillOf(till)}`)
    }
    for (const [stream, numbers] of entered) {
      const inOrder = wanted.filter((each) => tillOf(each.till) === stream && this.#hasPlace(each))
      const known = new Set(inOrder.map(({ n }) => n))
      const have = numbers.filter((n) => known.has(n))
      const expected = inOrder.map(({ n }) => n).filter((n) => numbers.includes(n))
      if (have.join() !== expected.join())
        problems.push(`${stream} has ${have.join()}, and was sent ${expected.join()}`)
      const strange = numbers.filter((n) => !wanted.some((each) => each.n === n && tillOf(each.till) === stream))
      if (strange.length > 0) problems.push(`${stream} has ${strange.join()}, which nobody has sent it`)
    }
    const [begun] = others.get(`$inbox/${NAME}`) ?? []
    const { place } = (begun?.data ?? { place: { count: 0 } }) as { readonly place: { readonly count: number } }
    return [...problems, ...this.#untold(missing, place.count)]
  }

  /** What is lost was told, and what was passed; but for what was removed before the inbox began. */
  #untold(missing: readonly Payment[], removedBefore: number): string[] {
    const { lost = 0, rejected = 0 } = this.#status ?? {}
    const removed = this.#payments.filter(({ isRemoved }) => isRemoved).length - removedBefore
    if (lost > removed) return [`${removed} messages were removed, and it says that ${lost} are lost`]
    // What one message says that was rejected, another may bring about.
    const saidTwice = this.#payments.filter(({ isNothing, isRepeated }) => isNothing || isRepeated).length
    if (rejected > missing.length + saidTwice) {
      return [`${missing.length} payments are missing, and it tells of ${rejected} that were rejected`]
    }
    const gone = missing.filter(({ isSkipped }) => !isSkipped).length
    if (lost + rejected + removedBefore >= gone) return []
    return [`${gone} payments are missing, and it tells of ${lost} that are lost and ${rejected} that were rejected`]
  }

  /** Whether it may be missing. */
  #isFree({ isRemoved, isSkipped }: Payment): boolean {
    return isRemoved || isSkipped || this.#plan.onRejection === 'pass'
  }

  /**
   * Whether it is entered where it stands among the others: nobody knows for whom one is that cannot be read; and one that was
   * rejected, and passed, is asked for anew where that was not recorded, then perhaps behind others.
   */
  #hasPlace({ n, isUnreadable, isRepeated, isSkipped }: Payment): boolean {
    const isPassed = this.#plan.onRejection === 'pass' && this.#declined.has(n)
    return !isUnreadable && !isRepeated && !isSkipped && !isPassed
  }

  #define(source: Inbox['source']): Inbox {
    const { onFailure, onRejection, batchMax, concurrency } = this.#plan
    const map = ({ id, fields: { till, n, payment } }: InboxMessage) => {
      if (till === undefined) return undefined
      const isUnreadable = this.#payments.find((each) => each.id === id)?.isUnreadable
      if (isUnreadable === true && !this.#isMended) throw new Error('it cannot be read')
      const command = { aggregate: this.#till, id: till, command: 'pay', payload: { n: Number(n) } } as const
      return payment === undefined ? command : { ...command, commandId: deriveId('payment', payment) }
    }
    return defineInbox({
      name: NAME,
      startAt: 'beginning',
      source,
      to: [this.#till],
      map,
      onFailure,
      onRejection,
      batchMax,
      concurrency,
    })
  }

  #send({ till, kind }: Letter): void {
    const before = this.#payments.findLast(({ isNothing, isUnreadable }) => !isNothing && !isUnreadable)
    const isAgain = kind === 'again' && this.#areIdsKept && before !== undefined
    const said = isAgain ? before : { till, n: this.#payments.length }
    const isNothing = kind === 'not for us' || isAgain
    const payment = this.#areIdsKept ? { payment: String(said.n) } : {}
    const fields = kind === 'not for us' ? {} : { till: String(said.till), n: String(said.n), ...payment }
    const id = this.#broker.add(ROW, fields)
    const isUnreadable = kind === 'unreadable'
    const fate = { isRepeated: false, isRemoved: false, isSkipped: false }
    this.#payments.push({ id, till: said.till, n: said.n, isUnreadable, isNothing, ...fate })
    if (isAgain) before.isRepeated = true
  }

  #remove({ does, number }: Removal): void {
    const left = this.#payments.filter(({ isRemoved }) => !isRemoved)
    const one = left[number % Math.max(1, left.length)]
    const gone =
      does === 'trim' ? this.#broker.trim(ROW, number) : one === undefined ? [] : [this.#broker.remove(ROW, one.id)]
    for (const message of gone) {
      const payment = this.#payments.find(({ id }) => id === message?.id)
      if (payment !== undefined) payment.isRemoved = true
    }
  }

  async #do({ does, till }: InboxDeed, node: RunningNode): Promise<void> {
    const inbox = node.inbox(this.#inbox)
    switch (does) {
      case 'close':
      case 'open':
        await node.ref(this.#till, String(till)).ask(does)
        return
      case 'retry': {
        const [first] = await inbox.parked()
        if (first !== undefined) await inbox.retryParked(first.id)
        return
      }
      case 'skip': {
        const [first] = await inbox.parked()
        const payment = this.#payments.find(({ id }) => id === first?.id)
        if (payment === undefined) return
        // It may be done, and not told.
        payment.isSkipped = true
        return await inbox.skipParked({ id: payment.id, reason: 'by hand' })
      }
      case 'mend':
        this.#isMended = true
    }
  }

  async #bringToAnEnd(): Promise<void> {
    const { kernel } = this.#cluster
    for (let till = 0; till < TILLS; till += 1) {
      const open = async (node: RunningNode): Promise<boolean> => {
        await node.ref(this.#till, String(till)).ask('open')
        return true
      }
      while ((await this.#at(till, open)) !== true) await kernel.sleep(LOOK_MS)
    }
    while ((await this.#at(0, (node) => this.#isDone(node))) !== true) await kernel.sleep(LOOK_MS)
    await kernel.sleep(SETTLE_MS)
    while ((await this.#at(0, (node) => this.#isDone(node))) !== true) await kernel.sleep(LOOK_MS)
  }

  /** Retries what is parked; whether nothing was left to do. */
  async #isDone(node: RunningNode): Promise<boolean> {
    const inbox = node.inbox(this.#inbox)
    this.#status = await inbox.status()
    const parked = await inbox.parked()
    for (const { id, isAsked, reason } of parked) if (!isAsked && reason !== '') await inbox.retryParked(id)
    const last = this.#payments.findLast(({ isRemoved }) => !isRemoved)
    const isAtEnd = last === undefined || Number.parseInt(this.#status.place ?? '', 10) >= Number.parseInt(last.id, 10)
    return parked.length === 0 && isAtEnd
  }

  #at<Result>(nth: number, work: (running: RunningNode) => Promise<Result>): Promise<Result | undefined> {
    const { nodes } = this.#cluster
    const node: SimulatedNode | undefined = nodes[nth % Math.max(1, nodes.length)]
    if (node === undefined) return Promise.resolve(undefined)
    return attemptAt(node, work, (problem) => this.#problems.push(problem))
  }
}

function paidIn(events: readonly { readonly type: string; readonly data: unknown }[]): readonly number[] {
  return events.filter(({ type }) => type === 'Paid').map(({ data }) => (data as { readonly n: number }).n)
}

function tillOf(till: number): string {
  return `till/${till}`
}

function tills(): readonly string[] {
  return Array.from({ length: TILLS }, (_, till) => tillOf(till))
}
