/**
 * The read models of the tormented bank: somebody asks them for what callers were told, somebody looks after them, and when
 * all nodes have ended what PostgreSQL has is held against the log.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ReadModel } from '../../src/read/read-model.ts'
import type { PostgresModel } from '../../src/index.ts'
import { BEGINNING } from '../../src/read/all.ts'
import { comparePlaces } from '../../src/read/place.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { checkReadModel, nameOf } from '../checker/check-read-model.ts'
import type { LoggedEvent, LoggedStreams } from '../checker/history.ts'
import type { PostgresProcess } from '../postgres-server.ts'
import type { Acknowledged } from './bank.ts'
import type { ProjectionCall, ToldStatus } from './message.ts'
import type { NodeProcess } from './node.ts'
import { PROJECTIONS, storeAt, type ProjectionName } from './projections.ts'

/** What a run's read models have come to. */
export interface ReadModelFigures {
  /** Events that had taken effect at the last check, in all of them. */
  effects: number
  /** So many queries have waited for what a caller had been told, and have shown it. */
  seen: number
  rebuiltLive: number
  paused: number
  wentBack: number
  /** Parked events that were retried, and have taken effect. */
  retried: number
  parkedInTheEnd: number
}

export interface ReadModelsOptions {
  readonly seed: number
  readonly server: PostgresProcess
  readonly serving: () => readonly NodeProcess[]
  readonly signal: AbortSignal
  readonly onViolation: (problem: string) => void
}

type Deed = Exclude<ProjectionCall['kind'], 'sees' | 'status'>

/** Those that are named more often are done more often. */
const DEEDS: readonly Deed[] = [
  ...(['rebuild', 'rebuild', 'rebuild', 'rebuild', 'resumeRebuild', 'abortRebuild', 'rollBack'] as const),
  ...(['pause', 'pause', 'retry', 'retry'] as const),
]
const ASK_MS = 100
const DEED_MS_MAX = 3_000
const PAUSED_MS_MAX = 2_000
const LEVEL_MS = 180_000
const LOOK_MS = 300
/** A node that is stopped says nothing for a while. */
const CALL_MS = 20_000
const ALL = 1_000_000

export class ReadModels {
  readonly figures: ReadModelFigures = {
    effects: 0,
    seen: 0,
    rebuiltLive: 0,
    paused: 0,
    wentBack: 0,
    retried: 0,
    parkedInTheEnd: 0,
  }
  readonly #options: ReadModelsOptions
  readonly #random: SeededRandom
  /** The last that a caller was told. */
  #told: Acknowledged | undefined
  #isResting = false
  #deed: Promise<unknown> = Promise.resolve()
  readonly #begun = new Map<string, ProjectionName>()

  constructor(options: ReadModelsOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed)
    void this.#ask()
    void this.#operate()
  }

  told(command: Acknowledged): void {
    const { position = 0 } = this.#told ?? {}
    if (command.position > position) this.#told = command
  }

  /** While all nodes serve: lets the projections come to where the log is by now. From then on nobody does anything to them. */
  async settle(): Promise<void> {
    this.#isResting = true
    await this.#deed
    const told = this.#told
    if (told === undefined) return
    for (const projection of PROJECTIONS) await this.#settleOne(projection, told)
  }

  /** Nodes serve again. */
  goOn(): void {
    this.#isResting = false
  }

  /** What is wrong with the read models, now that no node runs. */
  async problems(log: LoggedStreams): Promise<string[]> {
    const store = storeAt(this.#options.server.door)
    const problems: string[] = []
    this.figures.effects = 0
    this.figures.parkedInTheEnd = 0
    for (const projection of PROJECTIONS) {
      const readModel = await store.open(projection)
      try {
        const { live, generations } = await readModel.control()
        for (const { number: generation } of generations) {
          const found = await lookInto(readModel, generation, projection)
          for (const problem of checkReadModel(found, log)) {
            problems.push(`projection ${projection}, generation ${generation}: ${problem}`)
          }
          if (generation !== live) continue
          this.figures.effects += found.row.length
          this.figures.parkedInTheEnd += found.parked.size
        }
        for (const [name, of] of this.#begun) {
          if (of === projection && name === `${projection} ${live}`) this.#countLive(name)
        }
      } finally {
        await readModel.close()
      }
    }
    return problems
  }

  async #settleOne(projection: ProjectionName, told: Acknowledged): Promise<void> {
    const { signal, serving, onViolation } = this.#options
    const end = performance.now() + LEVEL_MS
    for (;;) {
      const statuses = await this.#bringOn(projection)
      if (await this.#isShown(projection, told)) break
      if (performance.now() > end) {
        const how = JSON.stringify(statuses)
        return onViolation(`projection ${projection} does not come to position ${told.position}: ${how}`)
      }
      await delay(LOOK_MS, undefined, { signal })
    }
    for (const node of serving()) {
      this.figures.retried += Number((await this.#call(node, { projection, kind: 'retry' })) ?? 0)
    }
  }

  /** Whoever was told of a command sees its effect in the read model. */
  async #ask(): Promise<void> {
    const { serving, signal, onViolation } = this.#options
    for (;;) {
      await delay(ASK_MS, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      const [told, node] = [this.#told, this.#one(serving())]
      if (told === undefined || node === undefined) continue
      void this.#sees(node, 'entries', told).then((rows) => {
        if (rows === 1) this.figures.seen += 1
        else if (rows !== undefined) {
          onViolation(`a query behind position ${told.position} sees ${nameOf(told)} ${rows} times`)
        }
      })
    }
  }

  /** Looks after them, now this and now that, at the node that runs them or at another one. */
  async #operate(): Promise<void> {
    const { signal } = this.#options
    for (;;) {
      await delay(this.#random.below(DEED_MS_MAX), undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      if (this.#isResting) continue
      this.#deed = this.#do(PROJECTIONS[this.#random.below(PROJECTIONS.length)]!)
      await this.#deed
    }
  }

  async #do(projection: ProjectionName): Promise<void> {
    const kind = DEEDS[this.#random.below(DEEDS.length)]!
    const nodes = this.#options.serving()
    const statuses = await Promise.all(nodes.map((node) => this.#status(node, projection)))
    for (const status of statuses) if (status !== undefined) this.#countLive(`${projection} ${status.generation}`)
    const running = nodes.filter((_, i) => (statuses[i]?.lanes ?? 0) > 0)
    const node = this.#one(this.#random.chance(0.9) ? running : nodes)
    if (node === undefined) return
    const value = await this.#call(node, { projection, kind })
    if (value === undefined) return
    if (kind === 'rebuild') this.#begun.set(`${projection} ${Number(value)}`, projection)
    if (kind === 'rollBack') this.figures.wentBack += 1
    if (kind === 'retry') this.figures.retried += Number(value)
    if (kind !== 'pause') return
    this.figures.paused += 1
    await delay(this.#random.below(PAUSED_MS_MAX))
    await Promise.all(this.#options.serving().map((each) => this.#call(each, { projection, kind: 'resume' })))
  }

  /** Has what stands still go on, at all nodes. Resolves to how it is at each. */
  async #bringOn(projection: ProjectionName): Promise<readonly (ToldStatus | undefined)[]> {
    return await Promise.all(
      this.#options.serving().map(async (node) => {
        const status = await this.#status(node, projection)
        if (status === undefined || status.lanes === 0) return status && { ...status, rebuild: undefined }
        this.#countLive(`${projection} ${status.generation}`)
        const does = async (kind: Deed): Promise<unknown> => await this.#call(node, { projection, kind })
        if (status.state === 'paused' || status.state === 'halted' || status.rebuild === 'halted') await does('resume')
        if (status.unfinished !== undefined) await does('resumeRebuild')
        if (status.isHeldBack) await does('promote')
        return status
      }),
    )
  }

  /** Whether each node has an answer of a read model that has all up to there. */
  async #isShown(projection: ProjectionName, told: Acknowledged): Promise<boolean> {
    const shown = await Promise.all(this.#options.serving().map((node) => this.#sees(node, projection, told)))
    return shown.every((rows) => rows !== undefined)
  }

  /** How often an event has taken effect, asked for behind its position; undefined where there is no answer. */
  async #sees(node: NodeProcess, projection: ProjectionName, told: Acknowledged): Promise<number | undefined> {
    const { stream, version, position } = told
    const rows = await this.#call(node, { kind: 'sees', projection, stream, version, after: position })
    return rows === undefined ? undefined : Number(rows)
  }

  async #status(node: NodeProcess, projection: ProjectionName): Promise<ToldStatus | undefined> {
    return (await this.#call(node, { kind: 'status', projection })) as ToldStatus | undefined
  }

  /** Undefined where the node ends, or says that it cannot be done. */
  async #call(node: NodeProcess, call: ProjectionCall): Promise<unknown> {
    const answer = await Promise.race([node.call(call), delay(CALL_MS, undefined, { ref: false })])
    return answer?.kind === 'answered' ? (answer.value ?? null) : undefined
  }

  #countLive(generation: string): void {
    if (this.#begun.delete(generation)) this.figures.rebuiltLive += 1
  }

  #one(nodes: readonly NodeProcess[]): NodeProcess | undefined {
    return nodes[this.#random.below(Math.max(1, nodes.length))]
  }
}

async function lookInto(readModel: ReadModel<PostgresModel>, generation: number, projection: ProjectionName) {
  const places = await readModel.places(generation)
  const parked = await readModel.parked(generation, { limit: ALL })
  const { rows } = await readModel.query(generation, (sql) =>
    sql.query<{ stream: string; version: number; position: string; command: string }>(
      'SELECT stream, version, position, command FROM entries ORDER BY n',
    ),
  )
  const place = places.get('all') ?? BEGINNING
  return {
    row: rows.map(({ stream, version, position, command }) => ({
      stream,
      version,
      position: Number(position),
      commandId: command,
      // Nobody has written down which were.
      isRetried: projection === 'picky',
    })),
    parked: new Set(parked.map(nameOf)),
    skipped: new Set<string>(),
    laneOf: () => 'all',
    isDue: (event: LoggedEvent) => comparePlaces(event, place) <= 0,
  }
}
