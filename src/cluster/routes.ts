/**
 * Routes: for each shard where its messages go, and the order in which they get there.
 *
 * A message is under way on the lane of an owner, or held. While a shard moves, or its owner is away, its messages are
 * held; and after a move, until the owner before has answered all that it was sent: so what one sender sends to one
 * aggregate arrives in order, whoever owns it. An owner that has a shard again is another one: what was sent to it in the
 * epoch before comes back, and must not be overtaken.
 */
import type { Clock } from '../log/clock.ts'
import { FrameWriter } from './frame.ts'
import { FRAME_FULL_BYTES, type Link } from './link.ts'
import { NO_EPOCH, PROTOCOL_VERSION, writeMessage, type Unsent } from './wire.ts'

/** A message that has to get to the owner of its shard. */
export interface Parcel {
  message: Unsent
  readonly route: Route
  /** The lane that it is under way on; undefined while it is held. */
  lane: Lane | undefined
  /** Since when it has waited for somebody to serve its shard, on the monotonic clock. */
  heldSince: number
  /** The route's generation when it was put on the lane. */
  generation: number
  /** Increasing in the order of sending. */
  readonly order: number
  /** It has left on the lane; before, nobody there knows of it. */
  isWritten: boolean
  /** An earlier owner had it too, and may have let it take effect. */
  isSentAgain: boolean
}

/** The way to one worker. */
export interface Lane {
  readonly owner: string
  link: Link | undefined
  /** The version of the protocol that the link speaks. */
  protocol: number
  /** What is to be written, in order: all of a turn together, and what waits until the link is no longer full. */
  outgoing: Parcel[]
  /** How many of these are on the lane no more: their senders have given them up. */
  givenUp: number
  underWay: number
  isFlushing: boolean
}

/** The way of one shard's messages. */
export interface Route {
  readonly shard: number
  /** The owner's lane; undefined while nobody knows the owner. */
  lane: Lane | undefined
  /** The owner's epoch, which every message to it carries. */
  epoch: number
  /** Counts the changes of owner. */
  generation: number
  /** Messages under way on the lane, and those under way on lanes of owners before. */
  here: number
  abroad: number
  readonly held: Set<Parcel>
}

export interface RoutesEvents {
  readonly onFrame: (lane: Lane, frame: Uint8Array) => void
  /** An owner has had it, and it will be sent again. What is still said of the copy there is no answer to the next. */
  readonly onReturn: (parcel: Parcel) => void
}

const MESSAGES_PER_FRAME = 1024

export class Routes {
  readonly #clock: Clock
  readonly #events: RoutesEvents
  readonly #routes: readonly Route[]
  readonly #lanes = new Map<string, Lane>()
  readonly #frame = new FrameWriter()
  #held = 0

  constructor(shards: number, clock: Clock, events: RoutesEvents) {
    this.#clock = clock
    this.#events = events
    this.#routes = Array.from({ length: shards }, (_, shard) => createRoute(shard))
  }

  /** Messages that wait for an owner. */
  get held(): number {
    return this.#held
  }

  route(shard: number): Route {
    return this.#routes[shard]!
  }

  /** Sends a new message, or holds it. */
  add(parcel: Parcel): void {
    const { route } = parcel
    const { lane } = route
    if (lane?.link !== undefined && route.abroad === 0) this.#post(parcel, lane)
    else this.#hold(parcel)
  }

  /** A message was answered, or its sender has given it up. */
  remove(parcel: Parcel): void {
    const { route } = parcel
    if (parcel.lane === undefined) {
      if (route.held.delete(parcel)) this.#held -= 1
      return
    }
    const { lane, isWritten } = parcel
    this.#takeOff(parcel)
    if (!isWritten) forget(lane)
    this.#flushHeld(route)
  }

  /** The owner did nothing with it, or nothing that is known: it is sent to the next one. */
  bounce(parcel: Parcel, isDoubtful: boolean): void {
    const { route } = parcel
    const isFromOwner = parcel.generation === route.generation
    this.#takeBack(parcel, isDoubtful)
    if (isFromOwner) this.#point(route, undefined, 0)
    this.#flushHeld(route)
  }

  /** From here on the shard's messages go to this owner. */
  assign(shard: number, owner: string, epoch: number): void {
    const route = this.route(shard)
    if (route.lane?.owner === owner && route.epoch === epoch) return
    this.#point(route, this.#lane(owner), epoch)
    this.#flushHeld(route)
  }

  /** The owner can be reached through this link. What is held for it is sent, in order. */
  attach(owner: string, link: Link, protocol: number = PROTOCOL_VERSION): void {
    const lane = this.#lane(owner)
    lane.link = link
    lane.protocol = protocol
    empty(lane)
    link.onFrame((frame) => {
      if (lane.link === link) this.#events.onFrame(lane, frame)
    })
    link.onDrain(() => {
      if (lane.link === link) this.#flush(lane)
    })
    for (const route of this.#routes) if (route.lane === lane) this.#flushHeld(route)
  }

  /** The owner is away. What is under way to it, of all these, is held; what was written may have taken effect. */
  detach(owner: string, parcels: Iterable<Parcel>): void {
    const lane = this.#lanes.get(owner)
    if (lane === undefined) return
    lane.link?.close()
    lane.link = undefined
    empty(lane)
    for (const parcel of parcels) {
      if (parcel.lane === lane) this.#takeBack(parcel, parcel.isWritten)
    }
    for (const route of this.#routes) this.#flushHeld(route)
    if (!this.#routes.some((route) => route.lane === lane)) this.#lanes.delete(owner)
  }

  /** Whoever has a link. */
  get attached(): readonly string[] {
    return [...this.#lanes.values()].filter(({ link }) => link !== undefined).map(({ owner }) => owner)
  }

  #lane(owner: string): Lane {
    const lane = this.#lanes.get(owner) ?? createLane(owner)
    this.#lanes.set(owner, lane)
    return lane
  }

  #point(route: Route, lane: Lane | undefined, epoch: number): void {
    const before = route.lane
    route.lane = lane
    route.epoch = epoch
    route.generation += 1
    route.abroad += route.here
    route.here = 0
    const isLeft = before?.link === undefined && !this.#routes.some((other) => other.lane === before)
    if (before !== undefined && isLeft) this.#lanes.delete(before.owner)
  }

  #takeBack(parcel: Parcel, isDoubtful: boolean): void {
    this.#takeOff(parcel)
    if (isDoubtful) {
      parcel.message = again(parcel.message)
      parcel.isSentAgain = true
    }
    if (parcel.isWritten) this.#events.onReturn(parcel)
    this.#hold(parcel)
  }

  #takeOff(parcel: Parcel): void {
    const { route, lane } = parcel
    lane!.underWay -= 1
    if (parcel.generation === route.generation) route.here -= 1
    else route.abroad -= 1
    parcel.lane = undefined
  }

  #hold(parcel: Parcel): void {
    // Whoever was only asked why it does not serve the shard has not ended the wait.
    if (parcel.message.epoch !== NO_EPOCH) parcel.heldSince = this.#clock.monotonic()
    parcel.route.held.add(parcel)
    this.#held += 1
  }

  #flushHeld(route: Route): void {
    const { lane, held } = route
    if (held.size === 0 || lane?.link === undefined || route.abroad > 0) return
    // What came back stands behind what was sent later.
    const parcels = [...held].toSorted((a, b) => a.order - b.order)
    held.clear()
    this.#held -= parcels.length
    for (const parcel of parcels) this.#post(parcel, lane)
  }

  #post(parcel: Parcel, lane: Lane): void {
    parcel.lane = lane
    parcel.generation = parcel.route.generation
    parcel.message.epoch = parcel.route.epoch
    parcel.route.here += 1
    lane.underWay += 1
    parcel.isWritten = false
    lane.outgoing.push(parcel)
    if (lane.isFlushing) return
    lane.isFlushing = true
    this.#clock.defer(() => this.#flush(lane))
  }

  /** Writes what waits, until the link is full: its drain goes on. */
  #flush(lane: Lane): void {
    lane.isFlushing = false
    const { outgoing, link, protocol } = lane
    if (link === undefined || link.isFull) return
    const passage = { now: this.#clock.monotonic(), protocol }
    let inFrame = 0
    let done = 0
    for (const parcel of outgoing) {
      done += 1
      if (parcel.lane !== lane || parcel.isWritten) continue
      parcel.isWritten = true
      writeMessage(this.#frame, parcel.message, passage)
      inFrame += 1
      if (inFrame < MESSAGES_PER_FRAME && this.#frame.length < FRAME_FULL_BYTES) continue
      link.send(this.#frame.take())
      inFrame = 0
      if (link.isFull) break
    }
    if (inFrame > 0) link.send(this.#frame.take())
    empty(lane)
    if (done < outgoing.length) lane.outgoing = outgoing.slice(done).filter((parcel) => parcel.lane === lane)
  }
}

function empty(lane: Lane): void {
  lane.outgoing = []
  lane.givenUp = 0
}

/** Something on the lane was given up unwritten. That a link is full for long must not keep what nobody waits for. */
function forget(lane: Lane): void {
  lane.givenUp += 1
  if (2 * lane.givenUp <= lane.outgoing.length) return
  lane.outgoing = lane.outgoing.filter((parcel) => parcel.lane === lane)
  lane.givenUp = 0
}

function createRoute(shard: number): Route {
  return { shard, lane: undefined, epoch: 0, generation: 0, here: 0, abroad: 0, held: new Set() }
}

function createLane(owner: string): Lane {
  return {
    owner,
    link: undefined,
    protocol: PROTOCOL_VERSION,
    outgoing: [],
    givenUp: 0,
    underWay: 0,
    isFlushing: false,
  }
}

/** The same message for another try: its id may have been seen. */
function again(message: Unsent): Unsent {
  return message.kind === 'command' ? { ...message, isFresh: false, isAgain: true } : message
}
