/**
 * The network port between simulated nodes: hosts, who listens there, and what has befallen the paths between them.
 * A connection is a pair of simulated-connection.ts; here is what they share. The bytes of the handshake are left out;
 * what it decides (`agree`) is not.
 */
import { agree, type Agreed } from '../cluster/handshake.ts'
import {
  ConnectionError,
  formatAddress,
  parseAddress,
  type Connection,
  type Greeting,
  type Listener,
  type Network,
} from '../cluster/network.ts'
import type { Kernel } from './kernel.ts'
import type { SeededRandom } from './random.ts'
import { SimulatedConnection, type Carrier } from './simulated-connection.ts'
import type { SimulatedThread } from './simulated-thread.ts'

/** One direction between two hosts. */
export interface Path {
  readonly from: string
  readonly to: string
}

interface Acceptor {
  readonly thread: SimulatedThread
  readonly greeting: () => Greeting
  readonly onConnection: (connection: Connection) => void
}

interface Pair extends Path {
  readonly near: SimulatedConnection
  readonly far: SimulatedConnection
  /** What the initiator has sent since the connection went bad; undefined where it has not. */
  late: (() => void)[] | undefined
}

interface Call extends Path {
  readonly address: string
  readonly greeting: Greeting
  readonly thread: SimulatedThread
}

/** A peer is told so much later, and a latency, that the process at the other end was killed. */
const RESET_AFTER_MS = 200
/** A connection that goes bad: its initiator gives it up, what it carried arrives, its acceptor is told, each up to so much later. */
const BAD_MS = 2_000
const FIRST_FREE_PORT = 30_000

export class SimulatedHosts {
  readonly #kernel: Kernel
  readonly #random: SeededRandom
  readonly #someLatency: () => number
  /** By address. */
  readonly #acceptors = new Map<string, Acceptor>()
  readonly #pairs = new Set<Pair>()
  /** What waits for the path to be mended, in order. */
  readonly #cuts = new Map<string, (() => void)[]>()
  readonly #delays = new Map<string, number>()
  /** How many connections have gone bad on a path on which who calls is refused while what they carried is under way. */
  readonly #bad = new Map<string, number>()
  /** What each of those goes through, a step at a call. */
  readonly #goingBad = new Set<() => void>()
  readonly #refusing = new Set<string>()
  #nextPort = FIRST_FREE_PORT

  constructor(kernel: Kernel, random: SeededRandom, someLatency: () => number) {
    this.#kernel = kernel
    this.#random = random
    this.#someLatency = someLatency
  }

  host(name: string, thread: SimulatedThread): Network {
    return {
      listen: async (address, greeting, onConnection) => this.#listen(address, { thread, greeting, onConnection }),
      connect: async (address, greeting, { timeoutMs }) =>
        this.#connect({ address, greeting, thread, from: name, to: parseAddress(address).host }, timeoutMs),
    }
  }

  cut(path: Path): void {
    if (!this.#cuts.has(keyOf(path))) this.#cuts.set(keyOf(path), [])
  }

  mend(path: Path): void {
    const waiting = this.#cuts.get(keyOf(path)) ?? []
    this.#cuts.delete(keyOf(path))
    for (const arrive of waiting) this.#carry(path, arrive)
  }

  delay(path: Path, ms: number): void {
    this.#delays.set(keyOf(path), ms)
  }

  reset(a: string, b: string): void {
    const between = [...this.#pairs].filter(({ from, to }) => (from === a && to === b) || (from === b && to === a))
    for (const pair of between) this.#goBad(pair)
  }

  refuse(host: string, isRefused: boolean): void {
    if (isRefused) this.#refusing.add(host)
    else this.#refusing.delete(host)
  }

  died(host: string): void {
    for (const pair of this.#pairs) {
      if (pair.from !== host && pair.to !== host) continue
      this.#kernel.after(RESET_AFTER_MS + this.#someLatency(), () => this.#break(pair))
    }
  }

  #break(pair: Pair): void {
    this.#pairs.delete(pair)
    pair.near.end(reset())
    pair.far.end(reset())
  }

  /** The initiator has long given it up, and sent all of it elsewhere, when the acceptor reads what it carried, if it ever does. */
  #goBad(pair: Pair): void {
    const late: (() => void)[] = []
    pair.late = late
    this.#pairs.delete(pair)
    const isLost = this.#random.chance(0.5)
    const refusals = this.#random.chance(0.5) ? 1 : 0
    const steps = [
      () => pair.near.end(reset()),
      () => {
        for (const arrive of isLost ? [] : late.splice(0)) arrive()
        this.#bad.set(key, this.#bad.get(key)! - refusals)
      },
      () => pair.far.end(reset()),
    ]
    const key = keyOf(pair)
    this.#bad.set(key, (this.#bad.get(key) ?? 0) + refusals)
    const goOn = (): void => {
      const step = steps.shift()
      if (step === undefined) this.#goingBad.delete(goOn)
      else step()
    }
    this.#goingBad.add(goOn)
    let ms = 0
    for (let i = 0; i <= steps.length; i += 1) this.#kernel.after((ms += this.#random.below(BAD_MS)), goOn)
  }

  /** Whatever is going bad has done so. */
  heal(): void {
    while (this.#goingBad.size > 0) for (const goOn of this.#goingBad) goOn()
  }

  /** Calls back when it is there: later, much later, or never. */
  #carry(path: Path, arrive: () => void): void {
    const waiting = this.#cuts.get(keyOf(path))
    if (waiting !== undefined) waiting.push(arrive)
    else this.#kernel.after(this.#someLatency() + (this.#delays.get(keyOf(path)) ?? 0), arrive)
  }

  #listen(asked: string, acceptor: Acceptor): Listener {
    const { host, port } = parseAddress(asked)
    const address = formatAddress({ host, port: port === 0 ? (this.#nextPort += 1) : port })
    if (this.#acceptors.get(address)?.thread.isDead === false)
      throw new ConnectionError('unreachable', `cannot listen on ${address}: somebody does already`)
    this.#acceptors.set(address, acceptor)
    return {
      address,
      close: async () => {
        if (this.#acceptors.get(address) === acceptor) this.#acceptors.delete(address)
      },
    }
  }

  #connect(call: Call, timeoutMs: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const { thread } = call
      /** What the caller has when it is told; a caller that has given up closes it. */
      let isOver = false
      const finish = (result: SimulatedConnection | ConnectionError): void => {
        if (isOver) {
          if (result instanceof SimulatedConnection) result.close()
          return
        }
        isOver = true
        stopWaiting()
        if (result instanceof SimulatedConnection) resolve(result)
        else reject(new ConnectionError(result.kind, `no connection to ${call.address}: ${result.message}`))
      }
      const stopWaiting = thread.clock.after(timeoutMs, () => {
        finish(new ConnectionError('timeout', `the handshake was not finished within ${timeoutMs} ms`))
      })
      this.#kernel.note(`connect ${call.from} ${call.address}`)
      this.#carry(call, () => {
        this.#answer(call, (result) => {
          this.#carry({ from: call.to, to: call.from }, () => thread.run(() => finish(result)))
        })
      })
    })
  }

  /** What the machine called upon does; `reply` takes the caller's end, or why there is none. */
  #answer(call: Call, reply: (result: SimulatedConnection | ConnectionError) => void): void {
    const acceptor = this.#acceptors.get(call.address)
    const isRefused = this.#refusing.has(call.to) || (this.#bad.get(keyOf(call)) ?? 0) > 0
    if (acceptor === undefined || acceptor.thread.isDead || isRefused)
      return reply(new ConnectionError('unreachable', 'the connection was refused'))
    acceptor.thread.run(() => {
      const own = acceptor.greeting()
      const nearSees = agree(call.greeting, own)
      const farSees = agree(own, call.greeting)
      if (nearSees instanceof ConnectionError) reply(nearSees)
      else if (!(farSees instanceof ConnectionError)) {
        const { near, far } = this.#pair(call, { near: nearSees, far: farSees }, acceptor.thread)
        reply(near)
        acceptor.onConnection(far)
      }
    })
  }

  #pair(call: Call, agreed: { readonly near: Agreed; readonly far: Agreed }, thread: SimulatedThread): Pair {
    const { from, to } = call
    const carry = this.#carrier({ from, to })
    const near = new SimulatedConnection(call.thread, agreed.near, (what, arrive) => {
      if (pair.late === undefined) carry(what, arrive)
      else pair.late.push(arrive)
    })
    const far = new SimulatedConnection(thread, agreed.far, this.#carrier({ from: to, to: from }))
    near.join(far)
    far.join(near)
    const pair: Pair = { from, to, near, far, late: undefined }
    this.#pairs.add(pair)
    return pair
  }

  #carrier(path: Path): Carrier {
    return (what, arrive) => {
      this.#kernel.note(`${path.from}>${path.to} ${what}`)
      this.#carry(path, arrive)
    }
  }
}

function reset(): ConnectionError {
  return new ConnectionError('broken', 'the connection broke: it was reset')
}

function keyOf({ from, to }: Path): string {
  return `${from}>${to}`
}
