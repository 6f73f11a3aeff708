/**
 * A network of the test's own: places, each a namespace with an address, and a router between them, which forgets what is
 * sent from one place to another while that direction is cut. Nobody is told: packets are not refused, they vanish.
 */
import type { Cleanup } from './cleanup.ts'
import { Namespace } from './namespace.ts'

export interface Place {
  readonly address: string
  /** Put before a program, with its arguments, it runs that in this place. */
  readonly prefix: readonly string[]
}

export type Heal = () => void

/** Those that are made for it are looked at one after the other, before the router's own. */
const FIRST_RULE = 100

export class Lan {
  readonly places: readonly Place[]
  readonly #router: Namespace
  readonly #cleanup: Cleanup
  #rules = 0

  constructor(places: number, cleanup: Cleanup) {
    this.#cleanup = cleanup
    this.#router = new Namespace(cleanup)
    this.#router.run(['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'])
    this.places = Array.from({ length: places }, (_, i) => this.#connect(i + 1))
  }

  /** What the one sends does not reach the other from now on. What the other sends does. */
  cut({ from, to }: { readonly from: Place; readonly to: Place }): Heal {
    const rule = String(FIRST_RULE + (this.#rules += 1))
    this.#router.run(['ip', 'rule', 'add', 'pref', rule, 'from', from.address, 'to', to.address, 'blackhole'])
    return () => this.#router.run(['ip', 'rule', 'del', 'pref', rule])
  }

  #connect(number: number): Place {
    const place = new Namespace(this.#cleanup)
    const [router, own, net] = [`10.0.${number}.1`, `10.0.${number}.2`, 24]
    const port = `port${number}`
    this.#router.run(['ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(place.pid)])
    this.#router.run(['ip', 'address', 'add', `${router}/${net}`, 'dev', port])
    this.#router.run(['ip', 'link', 'set', port, 'up'])
    place.run(['ip', 'address', 'add', `${own}/${net}`, 'dev', 'eth0'])
    place.run(['ip', 'link', 'set', 'eth0', 'up'])
    place.run(['ip', 'route', 'add', 'default', 'via', router])
    return { address: own, prefix: place.prefix }
  }
}
