/** What the warehouse is to send. It has the id of the order. */
import { defineAggregate } from '../../src/index.ts'

export type ShipmentPhase = 'none' | 'booked' | 'dispatched'

export const Shipment = defineAggregate({
  type: 'shipment',
  initialState: (): ShipmentPhase => 'none',
  events: {
    ShipmentBooked: (_phase, _data: { address: string }) => 'booked',
    ShipmentDispatched: (_phase) => 'dispatched',
  },
  commands: {
    book: (phase, { address }: { address: string }, { emit, reject }) => {
      if (phase !== 'none') return reject('already-booked')
      return address === 'the moon' ? reject('undeliverable', { address }) : emit.ShipmentBooked({ address })
    },
    /** By the warehouse. */
    dispatch: (phase, _none: undefined, { emit, reject }) =>
      phase === 'booked' ? emit.ShipmentDispatched(undefined) : reject('not-booked', { phase }),
  },
  queries: { phase: (phase) => phase },
})
