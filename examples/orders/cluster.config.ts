/** What the example of orders runs. */
import { defineCluster } from '../../src/index.ts'
import { Fulfilment } from './fulfilment.ts'
import { Order } from './order.ts'
import { Payment } from './payment.ts'
import { Shipment } from './shipment.ts'

export default defineCluster({
  name: 'orders',
  aggregates: [Order, Payment, Shipment],
  processes: [Fulfilment],
  dataDir: './data',
  shards: 16,
})
