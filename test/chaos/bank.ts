/**
 * The bank's clients: several at once, each sending commands and reads to whichever node serves, and sending again what
 * failed, with the same id. Some wait for no answer before they send the next. Keeps the history of what they did and were told. Lives in the supervisor's process, where
 * no fault reaches it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { deriveId } from '../../src/index.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import type { CommandOutcome, Entry } from '../checker/history.ts'
import { EVENTS_OF, type AccountCommand } from './account.ts'
import type { Figures } from './figures.ts'
import type { Answer, Call, Request } from './message.ts'
import type { NodeProcess } from './node.ts'

const CLIENTS = 16
/** Send one command after the other to an account, through one node, and wait for no answer before the next: for so many together. */
const HASTY_CLIENTS = 6
const HASTY_COMMANDS = { paced: 80, unpaced: 10 }
/** Of all that is sent. */
const HASTY_SHARE = 0.3
const ACCOUNTS = 12
const SENDINGS_MAX = 10
const PAUSE_AFTER_FAILURE_MS = 5
const COMMANDS: readonly AccountCommand[] = ['deposit', 'deposit', 'withdraw', 'withdraw', 'exchange', 'touch']

/** What one request came to, for who wants to know how callers fare. */
export interface Observation {
  /** The one that was asked. */
  readonly node: NodeProcess
  readonly account: string
  readonly invokedAt: number
  readonly returnedAt: number
  /** Undefined where its node ended before it answered. */
  readonly answer: Answer | undefined
}

/** A command that took effect, as a caller was told: its last event. */
export interface Acknowledged {
  readonly stream: string
  readonly version: number
  readonly position: number
}

export class Bank {
  /** The accounts of a round. */
  accountsOf: (round: number) => readonly string[] = (round) =>
    Array.from({ length: ACCOUNTS }, (_, i) => `round-${round}-${i}`)
  /** What share of the commands waits for so long only. */
  impatience: { readonly share: number; readonly msMin: number; readonly msMax: number } = {
    share: 0.03,
    msMin: 1,
    msMax: 5,
  }
  /** Commands and reads in a second, of all clients together. */
  rate: number = Number.POSITIVE_INFINITY
  /** Is told of everything that is answered, or never will be. */
  observe: (observation: Observation) => void = () => undefined
  /** Is told of each command that took effect. */
  acknowledged: (command: Acknowledged) => void = () => undefined
  readonly #random: SeededRandom
  readonly #seed: number
  readonly #figures: Figures
  #round = 0
  #accounts: readonly string[] = []
  #history: Entry[] = []
  /** Requests whose answer, or whose process's end, is still to come. */
  readonly #underWay = new Set<Promise<void>>()
  #serving: NodeProcess[] = []
  #clients: Promise<void>[] = []
  #isStopped = true
  #isPaused = false
  #commandsLeft = 0
  #probes = 0
  /** How often anybody was asked anything. */
  #asked = 0
  /** Wakes those who wait for somebody to ask. */
  #onServing: (() => void)[] = []
  readonly #givenUp = new Map<NodeProcess, PromiseWithResolvers<undefined>>()
  #lastFault: number | undefined

  constructor(seed: number, figures: Figures) {
    this.#seed = seed
    this.#random = new SeededRandom(seed)
    this.#figures = figures
  }

  get accounts(): readonly string[] {
    return this.#accounts
  }
  get history(): readonly Entry[] {
    return this.#history
  }

  /**
   * Opens new accounts, forgets the history of the old ones, and lets the clients work, until they are stopped or have
   * sent so many commands. Resolves when they are done.
   */
  begin({ commands = Number.POSITIVE_INFINITY }: { readonly commands?: number } = {}): Promise<unknown> {
    this.#round += 1
    this.#accounts = this.accountsOf(this.#round)
    this.#history = []
    this.#isStopped = false
    this.#commandsLeft = commands
    this.#clients = [
      ...Array.from({ length: CLIENTS }, (_, client) => this.#runClient(client)),
      ...Array.from({ length: HASTY_CLIENTS }, (_, client) => this.#runHastyClient(client)),
    ]
    return Promise.all(this.#clients)
  }

  /** Ends the clients. Resolves when the history is complete, which takes the end of all nodes that owe an answer. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#wake()
    await Promise.all(this.#clients)
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  /** Resolves when all that is under way now was answered, or never will be. */
  async answered(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  /** Clients ask for nothing more until they go on. Resolves when all that is under way was answered. */
  async pause(): Promise<void> {
    this.#isPaused = true
    while (this.#underWay.size > 0) await this.answered()
  }

  goOn(): void {
    this.#isPaused = false
    this.#wake()
  }

  get serving(): readonly NodeProcess[] {
    return this.#serving
  }

  /** Clients send to this node from now on. */
  serve(node: NodeProcess): void {
    this.#serving.push(node)
    void node.ended.then(() => this.leave(node))
    this.#wake()
  }

  /** Clients send no more to this node, and wait no longer for what it owes them; whatever it says yet is recorded. */
  leave(node: NodeProcess): void {
    this.#serving = this.#serving.filter((serving) => serving !== node)
    this.#givenUp.get(node)?.resolve(undefined)
    this.#givenUp.delete(node)
  }

  /** Something was broken just now: from here on it is counted until somebody is served again. */
  fault(kind: string): void {
    this.#figures.fault(kind)
    this.#lastFault = performance.now()
  }

  /**
   * Sends to an account until a command of now is accepted. Resolves to when that was; to undefined where the clients are
   * stopped, or none of the nodes that it may ask is left.
   */
  async probe(account: string, mayAsk: (node: NodeProcess) => boolean): Promise<number | undefined> {
    while (!this.#isStopped) {
      const nodes = this.#serving.filter(mayAsk)
      if (nodes.length === 0 && this.#serving.length > 0) return undefined
      const node = nodes[this.#random.below(Math.max(1, nodes.length))]
      this.#figures.commands += 1
      this.#probes += 1
      const commandId = deriveId('probe', this.#seed, this.#round, this.#probes)
      const call: Call = { kind: 'command', name: 'deposit', commandId, payload: { amount: 1, text: '' } }
      const answer = await this.#send({ account, call, timeoutMs: undefined }, () => node)
      if (answer === 'stopped') return undefined
      if (answer?.kind === 'accepted') return performance.now()
      if (answer?.kind === 'failed') await delay(PAUSE_AFTER_FAILURE_MS)
    }
    return undefined
  }

  async #runClient(client: number): Promise<void> {
    const random = new SeededRandom(this.#random.next())
    // Each asks its own node, so that one that does not answer keeps its own clients only.
    const home = (): NodeProcess | undefined => this.#serving[client % this.#serving.length]
    for (let count = 0; !this.#isStopped && this.#commandsLeft > 0; count += 1) {
      await this.#pace(random, CLIENTS / (1 - HASTY_SHARE))
      const account = this.#accounts[random.below(this.#accounts.length)]!
      const kind = random.below(10)
      if (kind < 7)
        await this.#command({
          random,
          account,
          home,
          commandId: deriveId('chaos', this.#seed, this.#round, client, count),
        })
      else await this.#read({ random, account, home }, kind)
    }
  }

  async #runHastyClient(client: number): Promise<void> {
    const random = new SeededRandom(this.#random.next())
    const together = this.rate === Number.POSITIVE_INFINITY ? HASTY_COMMANDS.unpaced : HASTY_COMMANDS.paced
    for (let row = 0; !this.#isStopped && this.#commandsLeft > 0; row += 1) {
      const account = this.#accounts[random.below(this.#accounts.length)]!
      const node = this.#serving[random.below(Math.max(1, this.#serving.length))]
      const answers: Promise<Answer | 'stopped' | undefined>[] = []
      for (let i = 0; i < together && this.#commandsLeft > 0; i += 1) {
        await this.#pace(random, HASTY_CLIENTS / HASTY_SHARE)
        // What follows goes through another one.
        if (this.#isStopped || this.#isPaused || node === undefined || !this.#serving.includes(node)) break
        const commandId = deriveId('hasty', this.#seed, this.#round, client, row, i)
        const call = hastyCall(commandId, random)
        if (call.kind === 'command') {
          this.#figures.commands += 1
          this.#commandsLeft -= 1
        }
        answers.push(this.#send({ account, call, timeoutMs: undefined }, () => node))
      }
      const told = await Promise.all(answers)
      const isWell = told.length > 0 && told.every((answer) => typeof answer === 'object' && answer.kind !== 'failed')
      if (!isWell) await delay(PAUSE_AFTER_FAILURE_MS)
    }
  }

  /** As if so many sent, each one after the other. */
  async #pace(random: SeededRandom, clients: number): Promise<void> {
    if (this.rate !== Number.POSITIVE_INFINITY) await delay(random.below((2 * clients * 1_000) / this.rate))
  }

  async #command({ random, account, home, commandId }: Sender & { readonly commandId: string }): Promise<void> {
    this.#figures.commands += 1
    this.#commandsLeft -= 1
    const name = COMMANDS[random.below(COMMANDS.length)]!
    const text = 'x'.repeat(random.chance(0.1) ? random.below(4_000) : random.below(100))
    const call: Call = { kind: 'command', name, commandId, payload: { amount: random.below(100), text } }
    for (let sending = 1; sending <= SENDINGS_MAX; sending += 1) {
      const { share, msMin, msMax } = this.impatience
      const timeoutMs = random.chance(share) ? msMin + random.below(msMax - msMin) : undefined
      // Whatever it asks for again it asks of anyone.
      const answer = await this.#send({ account, call, timeoutMs }, sending === 1 ? home : undefined)
      if (answer === 'stopped') return
      const isAnswered = answer?.kind === 'accepted' || answer?.kind === 'rejected'
      // Some ask again although they know, and some never learn.
      if (!random.chance(isAnswered ? 0.15 : 0.9)) return
      if (answer?.kind === 'failed') await delay(PAUSE_AFTER_FAILURE_MS)
    }
  }

  async #read({ random, account, home }: Sender, kind: number): Promise<void> {
    const atVersion = kind === 9 ? random.below(20) : undefined
    const call: Call = kind === 7 ? { kind: 'query' } : { kind: 'state', atVersion }
    const answer = await this.#send({ account, call, timeoutMs: undefined }, home)
    if (answer !== 'stopped' && answer?.kind === 'failed') await delay(PAUSE_AFTER_FAILURE_MS)
  }

  /** Asks the node that `choose` names, or any. Resolves to undefined where the client gave up waiting. */
  async #send(
    request: Request,
    choose: () => NodeProcess | undefined = () => undefined,
  ): Promise<Answer | 'stopped' | undefined> {
    while ((this.#serving.length === 0 || this.#isPaused) && !this.#isStopped) {
      await new Promise<void>((resolve) => this.#onServing.push(resolve))
    }
    if (this.#isStopped) return 'stopped'
    const node = choose() ?? this.#serving[this.#random.below(this.#serving.length)]!
    const order = (this.#asked += 1)
    const invokedAt = performance.now()
    const answering = node.ask(request)
    const recording = answering.then((answer) => this.#record({ request, node, order, invokedAt, answer }))
    this.#underWay.add(recording)
    void recording.then(() => this.#underWay.delete(recording))
    let givenUp = this.#givenUp.get(node)
    if (givenUp === undefined) this.#givenUp.set(node, (givenUp = Promise.withResolvers()))
    return Promise.race([answering, givenUp.promise])
  }

  #wake(): void {
    for (const wake of this.#onServing.splice(0)) wake()
  }

  #record({ request, node, order, invokedAt, answer }: Answered): void {
    const returnedAt = answer === undefined ? Number.POSITIVE_INFINITY : performance.now()
    if (answer?.kind === 'failed') this.#figures.failure(answer.code)
    const { account, call } = request
    this.observe({ node, account, invokedAt, returnedAt, answer })
    const where = { stream: `account/${account}`, invokedAt, returnedAt }
    if (call.kind !== 'command') {
      if (answer?.kind !== 'shown') return
      this.#figures.reads += 1
      const isPast = call.kind === 'state' && call.atVersion !== undefined
      this.#history.push({ ...where, kind: isPast ? 'past' : 'read', seen: answer.seen })
      return
    }
    const outcome = outcomeOf(answer)
    const { commandId, name } = call
    const sent = { via: { node: node.pid, order }, mayBeRejected: name === 'withdraw' }
    this.#history.push({ ...where, kind: 'command', commandId, events: EVENTS_OF[name], outcome, ...sent })
    this.#count(outcome)
    if (outcome.kind === 'accepted') this.acknowledged({ stream: where.stream, ...outcome })
    if (outcome.kind !== 'accepted' || this.#lastFault === undefined || invokedAt < this.#lastFault) return
    this.#figures.recoverMs.push(returnedAt - this.#lastFault)
    this.#lastFault = undefined
  }

  #count({ kind }: CommandOutcome): void {
    const figures = this.#figures
    figures.sendings += 1
    if (kind === 'accepted') figures.acknowledged += 1
    else if (kind === 'declined') figures.declined += 1
    else if (kind === 'none') figures.failedDefinitely += 1
    else figures.unknown += 1
  }
}

interface Sender {
  readonly random: SeededRandom
  readonly account: string
  /** Whom this client asks first. */
  readonly home: () => NodeProcess | undefined
}

interface Answered {
  readonly request: Request
  readonly node: NodeProcess
  readonly order: number
  readonly invokedAt: number
  readonly answer: Answer | undefined
}

/** A command that nothing rejects; or a read, which a node that was stopped is asked when others have written already. */
function hastyCall(commandId: string, random: SeededRandom): Call {
  const payload = { amount: random.below(100), text: '' }
  return random.chance(0.7) ? { kind: 'command', name: 'deposit', commandId, payload } : { kind: 'query' }
}

function outcomeOf(answer: Answer | undefined): CommandOutcome {
  switch (answer?.kind) {
    case 'accepted': {
      const { version, position, events } = answer
      return events === 0 ? { kind: 'declined', seen: { version } } : { kind: 'accepted', version, position }
    }
    case 'rejected':
      return { kind: 'declined', seen: answer.seen }
    case 'failed':
      return { kind: answer.outcome }
    case 'shown':
    case undefined:
      return { kind: 'unknown' }
  }
}
