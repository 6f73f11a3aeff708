/**
 * `npm run orders [-- ORDERS [DIRECTORY]]`: places orders, is their customers and their warehouse, and prints what became of
 * them. With a directory the log stays: kill it, and run it again with the same; it goes on where it was.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRejection, startNode, type Node } from '../../src/index.ts'
import { Order, type OrderPhase } from './order.ts'
import { Payment, type PaymentPhase } from './payment.ts'
import { Shipment, type ShipmentPhase } from './shipment.ts'

const CONFIG = new URL('cluster.config.ts', import.meta.url)
const EUROS = 5
const LOOK_MS = 50
/** Of each ten orders, by their number: one is not paid, and one goes to where nobody delivers. */
const UNPAID = 3
const FAR_AWAY = 7

/** An order with what there is of it when it is done with. */
interface Ended {
  readonly order: OrderPhase
  readonly payment: PaymentPhase
  readonly shipment: ShipmentPhase
}

const ENDS: readonly Ended[] = [
  { order: 'shipped', payment: 'received', shipment: 'dispatched' },
  { order: 'cancelled', payment: 'withdrawn', shipment: 'none' },
  { order: 'cancelled', payment: 'refunded', shipment: 'none' },
]

async function main([count = '200', directory]: readonly string[]): Promise<number> {
  const orders = Number(count)
  if (!Number.isInteger(orders) || orders < 1) {
    console.error(`'${count}' is no number of orders; give a whole number above 0`)
    return 2
  }
  const dataDir = directory === undefined ? await mkdtemp(join(tmpdir(), 'penhold-orders-')) : resolve(directory)
  try {
    await using node = await startNode(CONFIG, { dataDir })
    const ended = await Promise.all(Array.from({ length: orders }, (_, i) => follow(node, i)))
    for (const end of ENDS) {
      const times = ended.filter((one) => isSame(one, end)).length
      console.log(`${String(times).padStart(6)}  ${end.order}, payment ${end.payment}, shipment ${end.shipment}`)
    }
    return 0
  } finally {
    if (directory === undefined) await rm(dataDir, { recursive: true, force: true })
  }
}

/** Does what a customer and the warehouse do for an order, until it is done with. */
async function follow(node: Node, number: number): Promise<Ended> {
  const id = `order-${number}`
  const [order, payment, shipment] = [node.ref(Order, id), node.ref(Payment, id), node.ref(Shipment, id)]
  const address = number % 10 === FAR_AWAY ? 'the moon' : 'Delft'
  try {
    await order.ask('place', { euros: EUROS, address })
  } catch (error) {
    if (!isRejection(error, Order, 'place')) throw error
  }
  for (;;) {
    const [now, paid, sent] = await Promise.all([order.query('phase'), payment.query('phase'), shipment.query('phase')])
    const ended = { order: now, payment: paid, shipment: sent }
    if (ENDS.some((end) => isSame(ended, end))) return ended
    // Somebody else may have been faster, such as the time that there was to pay in: then it is looked at again.
    if (paid === 'requested' && number % 10 !== UNPAID) await unlessRejected(payment.ask('pay'))
    if (sent === 'booked') await unlessRejected(shipment.ask('dispatch'))
    await sleep(LOOK_MS)
  }
}

async function unlessRejected(asked: Promise<unknown>): Promise<void> {
  try {
    await asked
  } catch (error) {
    if (!isRejection(error, Payment, 'pay') && !isRejection(error, Shipment, 'dispatch')) throw error
  }
}

function isSame(one: Ended, other: Ended): boolean {
  return one.order === other.order && one.payment === other.payment && one.shipment === other.shipment
}

process.exitCode = await main(process.argv.slice(2))
