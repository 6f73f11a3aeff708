/**
 * A story through the real runtime, with everything that befalls it. Callers behave as they should: what failed without
 * an answer they ask again, with the same command id, until they know. What they were told is then held against the log.
 */
import { PenholdError, Rejected } from '../aggregate/error.ts'
import { deriveId } from '../log/identity.ts'
import type { Telling } from './decider-run.ts'
import { describeEvents, describeNamed } from './describe.ts'
import { checkHistories, type LastLook, type Reply, type Sent } from './history-check.ts'
import { Broken } from './invariant.ts'
import type { Machine } from './machine.ts'
import { startMachine } from './simulated-machine.ts'
import { idOf, STEP_MS, type CommandStep, type Step } from './story.ts'
import { describePassing, describeStart } from './transcript.ts'
import { watch, type Watched } from './watched.ts'

/** Far more than any story needs. */
const TURNS_MAX = 1_000

/** @throws Broken */
export async function runRuntime(telling: Telling): Promise<void> {
  const { aggregate, story, transcript } = telling
  transcript.add('given', () => describeStart(aggregate, story))
  const decisions = new Map<string, Watched>()
  let callers: Callers | undefined
  const machine = await startMachine({
    aggregate: watch({ ...aggregate, snapshotEvery: story.snapshotEvery }, decisions, () => callers?.passedMs ?? 0),
    seed: story.seed,
    onEvent: (what, fault) => {
      transcript.add('and', () => what)
      if (fault !== undefined) telling.tally.faults[fault] += 1
    },
    onWarning: () => undefined,
  })
  callers = new Callers(machine, telling)
  for (const step of story.steps) await callers.take(step)
  machine.spare()
  await callers.settle()
  const looks = await lookAround(machine, telling, callers.sent)
  const histories = await machine.bury([...looks.keys()])
  count(telling, callers.sent, histories)
  checkHistories(telling, { histories, looks, sent: callers.sent, decisions })
}

function count(
  { story, tally }: Telling,
  sent: readonly Sent[],
  histories: ReadonlyMap<string, readonly unknown[]>,
): void {
  for (const { question, replies } of sent) tally.add(question.name, replies.at(-1) ?? { kind: 'failed' })
  if (story.snapshotEvery === false) return
  for (const { length } of histories.values()) tally.faults.snapshots += Math.floor(length / story.snapshotEvery)
}

class Callers {
  readonly sent: Sent[] = []
  /** What has passed beside the time of the machine. */
  passedMs = 0
  readonly #machine: Machine
  readonly #telling: Telling
  /** What has to be asked again. */
  #unanswered: Sent[] = []
  #underWay = 0
  #failure: unknown

  constructor(machine: Machine, telling: Telling) {
    this.#machine = machine
    this.#telling = telling
  }

  async take(step: Step): Promise<void> {
    const { transcript, tally } = this.#telling
    const { faults } = tally
    this.#machine.pass(STEP_MS)
    switch (step.kind) {
      case 'command':
        if (step.isConcurrent) faults.concurrency += 1
        this.#ask(this.#newlySent(step))
        return this.#goOn(step.isConcurrent)
      case 'again': {
        const sent = this.sent[step.which % Math.max(1, this.sent.length)]
        if (sent === undefined) return
        faults.retries += 1
        if (step.isConcurrent) faults.concurrency += 1
        transcript.add('and', () => `#${sent.number} is sent once more, with the same command id`)
        this.#ask(sent)
        return this.#goOn(step.isConcurrent)
      }
      case 'pass':
        await this.settle()
        this.passedMs += step.ms
        tally.passes += 1
        return transcript.add('and', () => describePassing(step.ms))
      case 'passivate':
        await this.settle()
        faults.passivation += 1
        transcript.add('and', () => 'all aggregates leave memory')
        return this.#machine.passivate()
      case 'restart':
        await this.settle()
        faults.restarts += 1
        transcript.add('and', () => 'the process is stopped and started again')
        return this.#machine.restart()
      case 'die':
      case 'disk':
        return this.#machine.arrange(step)
    }
  }

  /** Until every command has its answer. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < TURNS_MAX; turns += 1) {
      await this.#machine.turn()
      if (this.#failure !== undefined) throw this.#failure
      for (const sent of this.#unanswered.splice(0)) this.#ask(sent)
      if (this.#underWay === 0) return
    }
    throw new Error('commands stay without an answer')
  }

  async #goOn(isConcurrent: boolean): Promise<void> {
    if (!isConcurrent) await this.settle()
  }

  #newlySent(step: CommandStep): Sent {
    const { name, payload, metadata } = step
    const id = idOf(step.aggregate)
    const number = this.sent.length + 1
    const commandId = deriveId('story', number)
    const sent = {
      number,
      question: { id, name, payload, metadata, commandId, isFirst: true },
      replies: [],
      tries: 0,
      lost: 0,
    }
    this.sent.push(sent)
    const waiting = step.isConcurrent ? ', and nobody waits for it' : ''
    this.#telling.transcript.add('when', () => `#${number}  ${id}  ${describeNamed(name, payload)}${waiting}`)
    return sent
  }

  #ask(sent: Sent): void {
    const isFirst = sent.tries === 0
    sent.tries += 1
    this.#underWay += 1
    this.#machine
      .ask({ ...sent.question, isFirst })
      .then(
        (answer) => this.#answered(sent, { kind: 'accepted', ...answer }),
        (error: unknown) => this.#failed(sent, error),
      )
      .finally(() => {
        this.#underWay -= 1
      })
      .catch((error: unknown) => {
        this.#failure ??= error
      })
  }

  #answered(sent: Sent, reply: Reply): void {
    sent.replies.push(reply)
    this.#telling.transcript.add('then', () => `#${sent.number}  ${describeReply(reply)}`)
  }

  #failed(sent: Sent, error: unknown): void {
    if (error instanceof Rejected) {
      this.#answered(sent, { kind: 'rejected', code: error.code, details: error.details })
    } else if (
      error instanceof PenholdError &&
      (error.retryable || error.outcome === 'unknown' || error.code === 'NodeClosed')
    ) {
      if (error.outcome === 'unknown') sent.lost += 1
      this.#unanswered.push(sent)
    } else {
      this.#failure ??= error instanceof PenholdError ? new Broken(`#${sent.number} failed: ${error.message}`) : error
    }
  }
}

/** What the aggregates say of themselves in the end, of now and of each moment of their past. */
async function lookAround(
  machine: Machine,
  { aggregate }: Telling,
  sent: readonly Sent[],
): Promise<ReadonlyMap<string, LastLook>> {
  const queries = Object.entries(aggregate.queries as Record<string, (...parameters: never) => unknown>)
  const names = queries.filter(([, query]) => query.length < 2).map(([name]) => name)
  const ids = [...new Set(sent.map(({ question }) => question.id))]
  const looks = ids.map(async (id) => {
    const versions = aggregate.snapshotEvery === false ? [] : Array.from({ length: versionOf(id, sent) + 1 }).keys()
    const [given, states] = await Promise.all([
      Promise.all(names.map((name) => machine.query(id, name))),
      Promise.all([...versions].map((version) => machine.state(id, version))),
    ])
    return [id, { states, answers: new Map(names.map((name, i) => [name, given[i]])) }] as const
  })
  // A simulated machine moves only in its turns.
  const [looked] = await Promise.allSettled([Promise.all(looks), machine.turn()])
  if (looked.status === 'fulfilled') return new Map(looked.value)
  throw looked.reason instanceof PenholdError ? new Broken(looked.reason.message) : looked.reason
}

/** The greatest that anybody was told. */
function versionOf(id: string, sent: readonly Sent[]): number {
  const replies = sent.filter(({ question }) => question.id === id).flatMap((one) => one.replies)
  return Math.max(0, ...replies.map((reply) => (reply.kind === 'accepted' ? reply.version : 0)))
}

function describeReply(reply: Reply): string {
  if (reply.kind === 'rejected') return `rejected ${describeNamed(`'${reply.code}'`, reply.details)}`
  return reply.events.length === 0 ? 'nothing' : `${describeEvents(reply.events)} (version ${reply.version})`
}
