/** `penhold projection rebuild`: makes a read model anew beside the live one, and says how far that is. */
import { setTimeout as sleep } from 'node:timers/promises'
import { PenholdError } from '../aggregate/error.ts'
import type { Member } from '../cluster/leases.ts'
import { ConnectionError } from '../cluster/network.ts'
import type { ProjectionStatus } from '../read/projection-status.ts'
import { complain } from './complaint.ts'
import { Exit, Failure, UsageError, type Command, type Terminal } from './command.ts'
import { CONFIG_HELP } from './config-file.ts'
import { createProgress } from './progress.ts'
import { withProjections, type ProjectionCluster } from './projection-cluster.ts'

const LOOK_MS = 250
const STEPS = 10_000

export const rebuild: Command = {
  summary: 'makes a read model anew, beside the live one',
  help: `Begins a new generation of a projection's read model and reads everything into it, while the live one goes on; once it has
caught up queries see it, and the one before is kept to go back to (penhold projection rollback). Shows how far it is until
then. Ctrl-C ends the showing and not the rebuild.

  penhold projection rebuild NAME [--detach | --abort] [--resume] [--config FILE] [--json]

  --detach          return as soon as it has begun
  --resume          go on with a rebuild that was interrupted, because its node ended, or that a rollback has left
  --abort           give up the rebuild that is under way or was interrupted; the live generation is not touched
  --config FILE     the cluster ${CONFIG_HELP}
  --json            print one JSON object at the end and nothing else
  --help            print this

Exit code: 0 it is live (with --detach, begun; with --abort, given up), 1 it does not go on by itself or cannot be begun,
2 usage, 130 interrupted (it goes on).`,
  options: {
    config: { type: 'string' },
    detach: { type: 'boolean' },
    resume: { type: 'boolean' },
    abort: { type: 'boolean' },
  },
  operands: ['name'],
  async run(values, terminal, signal) {
    const name = String(values['name'])
    const isJson = values['json'] === true
    if (values['abort'] === true && (values['detach'] === true || values['resume'] === true)) {
      throw new UsageError('projection rebuild: --abort goes with neither --detach nor --resume')
    }
    return await withProjections(values, signal, async (cluster) => {
      const { member } = await cluster.runner(name)
      if (values['abort'] === true) {
        await cluster.call(member, { call: 'abortRebuild', projection: name })
        terminal.out(
          isJson ? JSON.stringify({ projection: name, node: member.name }) : `${name} is not rebuilt any more`,
        )
        return Exit.ok
      }
      const call = values['resume'] === true ? 'resumeRebuild' : 'rebuild'
      const generation = Number(await cluster.call(member, { call, projection: name }))
      const told = { terminal, isJson, name, generation }
      if (values['detach'] !== true) return await follow(cluster, told, signal)
      tell(told, { node: member.name, isLive: false }, `is being rebuilt at ${member.name}`)
      return Exit.ok
    })
  },
}

/** Where somebody else was first, or the node has ended too, that is seen with the next look. */
async function resume(cluster: ProjectionCluster, member: Member, name: string): Promise<void> {
  try {
    await cluster.call(member, { call: 'resumeRebuild', projection: name })
  } catch (error) {
    const isMoved = error instanceof PenholdError && ['ProjectionState', 'NodeClosed'].includes(error.code)
    if (!isMoved && !(error instanceof ConnectionError)) throw error
  }
}

interface Told {
  readonly terminal: Terminal
  readonly isJson: boolean
  readonly name: string
  readonly generation: number
}

/** Until it is live. @throws Failure where it does not come to that by itself */
async function follow(cluster: ProjectionCluster, told: Told, signal: AbortSignal): Promise<Exit> {
  const { terminal, isJson, name, generation } = told
  const { show, end } = createProgress(terminal, `rebuilding ${name}`, () => '')
  try {
    while (!signal.aborted) {
      const { member, status } = await cluster.runner(name)
      const { kind, ...how } = comeTo(status, generation)
      if (kind === 'live') {
        end()
        tell(told, { node: member.name, isLive: true }, 'is live')
        return Exit.ok
      }
      if (kind === 'stuck') throw new Failure(how.problem)
      // The node that rebuilt it has ended.
      if (kind === 'interrupted') await resume(cluster, member, name)
      show(Math.floor((how.fraction ?? 0) * STEPS), STEPS)
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)
    }
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error
  } finally {
    end()
  }
  const message = `interrupted: generation ${generation} of ${name} goes on being rebuilt; penhold projection status ${name} says how far it is, penhold projection rebuild ${name} --abort gives it up`
  complain(terminal, { message }, isJson)
  return Exit.interrupted
}

function tell({ terminal, isJson, name, generation }: Told, more: object, what: string): void {
  terminal.out(
    isJson ? JSON.stringify({ projection: name, generation, ...more }) : `generation ${generation} of ${name} ${what}`,
  )
}

export interface Outcome {
  readonly kind: 'live' | 'under way' | 'interrupted' | 'stuck'
  readonly fraction?: number
  /** Where it is stuck: why, and what to do. */
  readonly problem?: string
}

/** What has become of the rebuild of a generation, as the node that runs the projection says. */
export function comeTo(status: ProjectionStatus, generation: number): Outcome {
  const { name, rebuild: beside, unfinished } = status
  if (status.generation === generation) return { kind: 'live' }
  if (unfinished === generation) return { kind: 'interrupted' }
  const stuck = (problem: string): Outcome => ({ kind: 'stuck', problem })
  if (beside?.generation !== generation)
    return stuck(`generation ${generation} of ${name} is not there any more: somebody has aborted its rebuild`)
  const it = `generation ${generation} of ${name}`
  switch (beside.state) {
    case 'halted':
      return stuck(
        `${it} stands still: ${beside.trouble}; then run penhold projection resume ${name}, or penhold projection rebuild ${name} --abort`,
      )
    case 'paused':
      return stuck(
        `${it} is begun and waits, as ${name} is paused; run penhold projection resume ${name}, and it goes on`,
      )
    case 'caught up':
      if (!beside.isHeldBack) break
      return stuck(
        `${it} has caught up, and does not go live by itself, as it has parked events; see penhold projection parked list ${name} --rebuild, retry or skip them, or run penhold projection promote ${name}`,
      )
    case 'running':
    case 'waiting':
    case 'elsewhere':
      break
  }
  return { kind: 'under way', fraction: beside.fraction }
}
