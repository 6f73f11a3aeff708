/** Customers of the bank: accounts that are opened, funded, and moved money on, with a book of what was acknowledged. */
import { Rejected, type Client, type Node, type Ref } from '../src/index.ts'
import { Account } from './account.ts'
import { Sample, type Figures } from './sample.ts'

/** So much that no withdrawal of a run is refused: every figure counts commands that write. */
const FUNDS = 100_000_000
const AMOUNT_MAX = 100

/** One account, and what the acknowledgements of one program add up to. */
export interface Customer {
  readonly id: string
  readonly ref: Ref<typeof Account>
  version: number
  balance: number
}

export interface Drive {
  /** As many senders, each with one command under way: a closed loop. */
  readonly inFlight: number
  readonly seconds: number
  readonly random: () => number
}

export function customersOf(node: Pick<Node | Client, 'ref'>, name: string, count: number): readonly Customer[] {
  return Array.from({ length: count }, (_, i) => {
    const id = `${name}-${i}`
    return { id, ref: node.ref(Account, id), version: 0, balance: 0 }
  })
}

export async function openAccounts(customers: readonly Customer[]): Promise<void> {
  await Promise.all(
    customers.map(async (customer) => {
      await customer.ref.ask('open', { owner: customer.id })
      await customer.ref.ask('deposit', { amount: FUNDS })
      customer.version = 2
      customer.balance = FUNDS
    }),
  )
}

export async function drive(customers: readonly Customer[], { inFlight, seconds, random }: Drive): Promise<Figures> {
  const times = new Sample()
  const startMs = performance.now()
  const endMs = startMs + seconds * 1_000
  const send = async (): Promise<void> => {
    let nowMs = performance.now()
    while (nowMs < endMs) {
      const sentMs = nowMs
      const isAccepted = await move(customers[Math.floor(random() * customers.length)]!, random)
      nowMs = performance.now()
      if (isAccepted) times.add(nowMs - sentMs)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, send))
  const perSecond = times.count / ((performance.now() - startMs) / 1_000)
  return { perSecond, p50Ms: times.percentile(50), p99Ms: times.percentile(99) }
}

/** One deposit or withdrawal. Resolves to whether it was accepted. */
async function move(customer: Customer, random: () => number): Promise<boolean> {
  const amount = 1 + Math.floor(random() * AMOUNT_MAX)
  const isDeposit = random() < 0.5
  try {
    await (isDeposit ? customer.ref.ask('deposit', { amount }) : customer.ref.ask('withdraw', { amount }))
  } catch (error) {
    if (error instanceof Rejected) return false
    throw error
  }
  customer.version += 1
  customer.balance += isDeposit ? amount : -amount
  return true
}
