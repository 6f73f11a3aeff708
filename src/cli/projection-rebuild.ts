/** `penhold projection rebuild`: makes a read model anew beside the live one, and says how far that is. */
import { setTimeout as sleep } from 'node:timers/promises'
import { complain } from './complaint.ts'
import { Exit, Failure, UsageError, type Command, type Terminal } from './command.ts'
import { CONFIG_HELP } from './config-file.ts'
import { createProgress } from './progress.ts'
import { withProjections, type ProjectionCluster } from './projection-cluster.ts'
import { runs, type Sighting } from './projection-sightings.ts'
import { abort, begin } from './rebuild-begin.ts'
import { comeTo } from './rebuild-outcome.ts'

const LOOK_MS = 250
/** What others have begun, aborted or gone back from nodes know within a second or two, where their store is well. */
const UNHEARD_LOOKS_MAX = 20
const STEPS = 10_000

export const rebuild: Command = {
  summary: 'makes a read model anew, beside the live one',
  help: `Begins a new generation of a projection's read model and reads everything into it, while the live one goes on; once it has
caught up queries see it, and the one before is kept to go back to (penhold projection rollback). Shows until then how far it
is, at all nodes that take part in it together. Ctrl-C ends the showing and not the rebuild: --resume shows it again.

  penhold projection rebuild NAME [--detach | --abort] [--resume] [--config FILE] [--json]

  --detach          return as soon as it has begun
  --resume          go on with one that a rollback has left, or show one that is under way
  --abort           give up the rebuild that is under way, or was left; the live generation is not touched
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
      const told = { terminal, isJson, name }
      if (values['abort'] === true) {
        await abort(cluster, name)
        tell(told, `${name} is not rebuilt any more`)
        return Exit.ok
      }
      const call = values['resume'] === true ? 'resumeRebuild' : 'rebuild'
      const generation = await begin(cluster, name, call)
      if (values['detach'] !== true) return await follow(cluster, { ...told, generation }, signal)
      const nodes = nodesOf(await cluster.running(name))
      const what = `generation ${generation} of ${name} is being rebuilt at ${nodes.join(', ')}`
      tell(told, what, { generation, nodes, isLive: false })
      return Exit.ok
    }).catch((error: unknown) => {
      if (!signal.aborted || error !== signal.reason) throw error
      const status = `penhold projection status ${name} says whether it is rebuilt`
      complain(terminal, { message: `interrupted, and it may have been done all the same: ${status}` }, isJson)
      return Exit.interrupted
    })
  },
}

interface Told {
  readonly terminal: Terminal
  readonly isJson: boolean
  readonly name: string
}

type Followed = Told & { readonly generation: number }

/** Until it is live. @throws what `untilLive` throws */
async function follow(cluster: ProjectionCluster, told: Followed, signal: AbortSignal): Promise<Exit> {
  const { terminal, isJson, name } = told
  const { show, end } = createProgress(terminal, `rebuilding ${name}`, () => '')
  const onProgress = (fraction: number): void => show(Math.floor(fraction * STEPS), STEPS)
  let nodes: readonly string[] | undefined
  try {
    nodes = await untilLive(cluster, told, { signal, onProgress })
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error
  } finally {
    end()
  }
  const { generation } = told
  const it = `generation ${generation} of ${name}`
  if (nodes !== undefined) {
    tell(told, `${it} is live`, { generation, nodes, isLive: true })
    return Exit.ok
  }
  const message = `interrupted: ${it} goes on being rebuilt; penhold projection status ${name} says how far it is, penhold projection rebuild ${name} --resume shows that again until it is live, and --abort gives it up`
  complain(terminal, { message }, isJson)
  return Exit.interrupted
}

export interface Following {
  readonly signal: AbortSignal
  readonly onProgress: (fraction: number) => void
  readonly lookMs?: number
}

/**
 * Resolves to the nodes that run it, once it is live; to undefined where the signal ends it.
 * @throws Failure where it does not come to that by itself
 */
export async function untilLive(
  cluster: Pick<ProjectionCluster, 'running'>,
  { name, generation }: { readonly name: string; readonly generation: number },
  { signal, onProgress, lookMs = LOOK_MS }: Following,
): Promise<readonly string[] | undefined> {
  let most = 0
  let unheardLooks = 0
  while (!signal.aborted) {
    const sightings = await cluster.running(name)
    const outcome = comeTo(sightings, name, generation)
    if (outcome.kind === 'live') return nodesOf(sightings)
    if (outcome.kind === 'stuck') throw new Failure(outcome.problem)
    if (outcome.kind === 'under way') {
      unheardLooks = 0
      // A node that takes a lane over counts only what it does itself.
      most = Math.max(most, outcome.fraction)
      onProgress(most)
    } else {
      unheardLooks += 1
      if (unheardLooks > UNHEARD_LOOKS_MAX) throw new Failure(outcome.problem)
    }
    await sleep(lookMs, undefined, { signal }).catch(() => undefined)
  }
}

function nodesOf(sightings: readonly Sighting[]): readonly string[] {
  return sightings.filter((sighting) => runs(sighting)).map(({ member }) => member.name)
}

function tell({ terminal, isJson, name }: Told, what: string, more: object = {}): void {
  terminal.out(isJson ? JSON.stringify({ projection: name, ...more }) : what)
}
