/**
 * The projections of a cluster as its nodes tell of them, and calls to the node that runs one. Which node that is may change
 * at any moment, so it is asked for anew each time.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { definitionError, PenholdError } from '../aggregate/error.ts'
import { suggestion } from '../aggregate/nearest.ts'
import type { Leases, Member } from '../cluster/leases.ts'
import { ConnectionError, type Network } from '../cluster/network.ts'
import type { AllPlace } from '../read/all.ts'
import type { ProjectionCall } from '../cluster/projection-call.ts'
import { callProjection } from '../node/ask-member.ts'
import type { ClusterConfig } from '../node/config.ts'
import { otherThanProjection } from '../node/other-kinds.ts'
import { openLeases, openNetwork } from '../node/surroundings.ts'
import { Failure, type Exit, type Values } from './command.ts'
import { findCluster } from './config-file.ts'
import { listProjections, runs, type Sighting, type Sightings } from './projection-sightings.ts'
import { lookAt } from './status.ts'

/** While a call is under way: so long a node may say nothing. */
const SILENCE_MS = 10_000
const LOOK_MS = 250
/** Where a node has died, its shards have a new owner by then, for leases of the default length; others wait for theirs. */
const PATIENCE_MS = 10_000

/** A node that does not answer may know of it, or another soon. */
class Silence extends Failure {}

/** What one node came to. */
export interface Answer {
  readonly member: Member
  readonly value: unknown
}

export class ProjectionCluster {
  readonly #config: ClusterConfig
  readonly #network: Network
  readonly #leases: Leases
  readonly #signal: AbortSignal

  constructor(
    config: ClusterConfig,
    { network, leases, signal }: { readonly network: Network; readonly leases: Leases; readonly signal: AbortSignal },
  ) {
    this.#config = config
    this.#network = network
    this.#leases = leases
    this.#signal = signal
  }

  get name(): string {
    return this.#config.name
  }

  /** @throws PenholdError `ClusterNotFound`, `LeasesUnavailable` */
  async look(): Promise<Sightings> {
    const view = await lookAt(this.#config.name, this.#leases)
    const silent: { member: Member; reason: string }[] = []
    const asked = view.members.map(async (member) => {
      try {
        return await listProjections(this.#network, view, member)
      } catch (error) {
        if (!(error instanceof ConnectionError || error instanceof PenholdError)) throw error
        silent.push({ member, reason: error.message })
        return []
      }
    })
    return { all: (await Promise.all(asked)).flat(), silent }
  }

  /** What nodes say of one. @throws Failure where none knows it */
  async sightings(projection: string): Promise<readonly Sighting[]> {
    const { all, silent } = await this.look()
    const found = all.filter(({ status }) => status.name === projection)
    if (found.length > 0) return found
    const other = otherThanProjection(this.#config, projection)
    if (other !== undefined) throw new Failure(`'${projection}' ${other}`)
    const names = [...new Set(all.map(({ status }) => status.name))]
    const reasons = silent.map(({ member, reason }) => `${member.name}: ${reason}`)
    if (names.length === 0 && reasons.length > 0) throw new Silence(noAnswer(this.name, reasons))
    const known = names.length === 0 ? `start one whose config has it` : suggestion(projection, names)
    const others = reasons.map((reason) => `no answer from ${reason}`)
    const message = [`no node of '${this.name}' that answers has a projection '${projection}'`, known, ...others].join(
      '; ',
    )
    throw others.length > 0 ? new Silence(message) : new Failure(message)
  }

  /**
   * The node that runs it, or its lane that has come by a place, for which it waits while it moves.
   * @throws Failure where none does
   */
  async runner(projection: string, place?: AllPlace): Promise<Sighting> {
    return (await this.running(projection, place)).find((sighting) => runs(sighting, place))!
  }

  /** What nodes say of one that at least one of them runs. @throws Failure where none does, after a while */
  async running(projection: string, place?: AllPlace): Promise<readonly Sighting[]> {
    const until = performance.now() + PATIENCE_MS + 2 * this.#config.timeouts.leaseMs
    for (;;) {
      const found = await this.sightings(projection).catch((error: unknown) => {
        if ((isAway(error) || error instanceof Silence) && performance.now() < until) return []
        throw error
      })
      if (found.some((sighting) => runs(sighting, place))) return found
      const stuck = found.find(({ status }) => status.state === 'halted')
      if (stuck !== undefined) {
        throw new Failure(
          `${projection} could not be begun at ${stuck.member.name}: ${stuck.status.trouble}; mend that, and run penhold projection resume ${projection}`,
        )
      }
      if (performance.now() >= until) {
        const troubles = found.flatMap(({ member, status }) =>
          status.trouble === undefined ? [] : [`${member.name} says: ${status.trouble}`],
        )
        throw new Failure([`no node runs ${projection} at the moment; see penhold status`, ...troubles].join('; '))
      }
      this.#signal.throwIfAborted()
      await sleep(LOOK_MS, undefined, { signal: this.#signal }).catch(() => undefined)
    }
  }

  /**
   * Calls the node that runs it. Resolves to `left` where that one has left meanwhile: then it may have done it, or not.
   * @throws what the call throws there; Failure where no node runs it; the signal's reason
   */
  async callRunner(
    projection: string,
    call: Pick<ProjectionCall, 'call'> & Partial<ProjectionCall>,
  ): Promise<{ readonly value: unknown } | 'left'> {
    const { member } = await this.runner(projection)
    try {
      return { value: await this.call(member, { projection, ...call }) }
    } catch (error) {
      const isClosed = error instanceof PenholdError && error.code === 'NodeClosed'
      if (!isClosed && !(error instanceof ConnectionError)) throw error
      // Until it is known that it has left, it may still be taken for the one that runs it.
      await sleep(LOOK_MS, undefined, { signal: this.#signal }).catch(() => undefined)
      this.#signal.throwIfAborted()
      return 'left'
    }
  }

  /** What all nodes come to that answer; and the others, with the reason. */
  async callAll(
    call: Omit<ProjectionCall, 'request' | 'options'> & Partial<ProjectionCall>,
  ): Promise<{ readonly answers: readonly Answer[]; readonly silent: readonly { member: Member; reason: string }[] }> {
    const { members } = await lookAt(this.#config.name, this.#leases)
    const answers: Answer[] = []
    const silent: { member: Member; reason: string }[] = []
    const asked = members.map(async (member) => {
      try {
        answers.push({ member, value: await this.call(member, call) })
      } catch (error) {
        if (!(error instanceof ConnectionError || error instanceof PenholdError)) throw error
        silent.push({ member, reason: error.message })
      }
    })
    await Promise.all(asked)
    return { answers, silent }
  }

  /** What is the same at all nodes is asked of one: of the next where that does not answer. @throws Failure where none does */
  async callAny(call: Omit<ProjectionCall, 'request' | 'options'> & Partial<ProjectionCall>): Promise<unknown> {
    const { members } = await lookAt(this.#config.name, this.#leases)
    const reasons: string[] = []
    for (const member of members) {
      try {
        return await this.call(member, call)
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error
        reasons.push(`${member.name}: ${error.message}`)
      }
    }
    throw new Failure(noAnswer(this.name, reasons))
  }

  /** @throws what the call throws there; ConnectionError; the signal's reason */
  async call(
    member: Member,
    call: Omit<ProjectionCall, 'request' | 'options'> & Partial<ProjectionCall>,
  ): Promise<unknown> {
    const { cluster } = await lookAt(this.#config.name, this.#leases)
    const callee = { network: this.#network, cluster, member }
    return await callProjection(
      callee,
      { options: {}, ...call },
      { ms: SILENCE_MS, isPatient: true, signal: this.#signal },
    )
  }
}

/** @throws PenholdError `BadDefinition` where the config names no Redis */
export async function withProjections(
  values: Values,
  signal: AbortSignal,
  use: (cluster: ProjectionCluster) => Promise<Exit>,
): Promise<Exit> {
  const { config } = await findCluster(values['config'], process.env)
  if (config.redis === undefined) throw embedded(config.name)
  const network = await openNetwork(config)
  const leases = await openLeases(config, config.redis)
  try {
    return await use(new ProjectionCluster(config, { network, leases, signal }))
  } finally {
    await leases.close()
  }
}

/** What and why, and what to do. */
function noAnswer(cluster: string, reasons: readonly string[]): string {
  if (reasons.length === 0) return `no node of '${cluster}' runs; start one, with penhold start`
  return `no node of '${cluster}' answers (${reasons.join(', ')}); see that they run and are reached from here, with the secret or the certificates that they have`
}

/** Redis, for a moment. */
function isAway(error: unknown): boolean {
  return error instanceof PenholdError && error.code === 'LeasesUnavailable'
}

function embedded(name: string): PenholdError {
  return definitionError(
    `cluster '${name}' has no redis, so that it is one process alone, which no command reaches: its program has the same calls (\`node.projection(P)\`, \`node.reactor(R)\`, \`node.outbox(O)\`: pause, resume, parked …), and /health/ready says how they are. Set \`redis\` to call them from outside.`,
  )
}
