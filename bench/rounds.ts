/**
 * Raw and W1 to W3, turn by turn in several rounds, because a machine is never equally busy for long: a ratio is taken
 * within a round, and the median over the rounds.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { measureRaw, type RawMode } from './raw.ts'
import { atLeast, atMost, say, type Row } from './report.ts'
import { median, type Figures } from './sample.ts'
import { Bank, WORKLOADS, type Workload } from './workload.ts'

export interface RoundsOptions {
  readonly dir: string
  readonly rounds: number
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly workloads: ReadonlySet<string>
}

interface Round {
  readonly raw256: Readonly<Record<RawMode, Figures>>
  readonly raw1: Readonly<Record<RawMode, Figures>>
  readonly workloads: ReadonlyMap<Workload['id'], Figures>
  readonly eventsVerified: number
}

/** @throws AssertionError where what is stored is not what was acknowledged */
export async function measureRounds(options: RoundsOptions): Promise<Row[]> {
  const rounds: Round[] = []
  const measured = WORKLOADS.filter(({ id }) => options.workloads.has(id))
  for (let number = 1; number <= options.rounds; number += 1) {
    say(`${['raw', ...measured.map(({ id }) => id)].join(', ')}: round ${number} of ${options.rounds}`)
    rounds.push(await measureRound(options))
  }
  return [...rawRows(rounds), ...measured.map((workload) => workloadRow(workload, rounds))]
}

/** The rows that a workload is compared with stand right before it. */
async function measureRound(options: RoundsOptions): Promise<Round> {
  const { dir, seconds, warmUpSeconds } = options
  const dataDir = join(dir, 'bank')
  const workloads = new Map<Workload['id'], Figures>()
  const raw = async (eventsPerSync: number): Promise<Record<RawMode, Figures>> => ({
    pool: await measureRaw(dir, { mode: 'pool', eventsPerSync, seconds, warmUpSeconds }),
    synchronous: await measureRaw(dir, { mode: 'synchronous', eventsPerSync, seconds, warmUpSeconds }),
  })
  const bank = await Bank.open(dataDir)
  const run = async (id: Workload['id']): Promise<void> => {
    const workload = WORKLOADS.find((known) => known.id === id)!
    if (options.workloads.has(id)) workloads.set(id, await bank.run(workload, seconds, warmUpSeconds))
  }
  try {
    const raw256 = await raw(256)
    await run('W1')
    await run('W2')
    const raw1 = await raw(1)
    await run('W3')
    return { raw256, raw1, workloads, eventsVerified: await bank.verify() }
  } finally {
    await bank.close()
    fs.rmSync(dataDir, { recursive: true, force: true })
  }
}

function rawRows(rounds: readonly Round[]): Row[] {
  const modes = [
    ['pool', 'through the thread pool'],
    ['synchronous', 'synchronous calls on the thread'],
  ] as const
  const of256 = modes.map(([mode, how]): Row => {
    const rates = rounds.map(({ raw256 }) => raw256[mode].perSecond)
    const figure = { kind: 'rate', perSecond: median(rates) } as const
    return { id: `raw-256 ${mode}`, what: `256 events a sync, ${how}`, figure, details: { rounds: rates } }
  })
  const of1 = modes.map(([mode, how]): Row => {
    const figures = rounds.map(({ raw1 }) => raw1[mode])
    return { id: `raw-1 ${mode}`, what: `1 event a sync, ${how}`, ...latency(figures) }
  })
  return [...of256, ...of1]
}

function workloadRow({ id, accounts, inFlight }: Workload, rounds: readonly Round[]): Row {
  const figures = rounds.map(({ workloads }) => workloads.get(id)!)
  const rates = figures.map(({ perSecond }) => perSecond)
  const what = `${accounts.toLocaleString('en')} account${accounts > 1 ? 's' : ''}, ${inFlight} in flight`
  const verified = { eventsVerified: rounds.reduce((sum, { eventsVerified }) => sum + eventsVerified, 0) }
  if (inFlight === 1) {
    const toRaw = ratios(rounds, ({ raw1, workloads }, mode) => workloads.get(id)!.p50Ms / raw1[mode].p50Ms)
    const { figure, details } = latency(figures)
    const target = atMost(toRaw.pool, 1.6, '1.60 × raw-1 pool')
    return { id, what, figure, toRaw, target, details: { ...details, ...verified } }
  }
  const toRaw = ratios(rounds, ({ raw256, workloads }, mode) => workloads.get(id)!.perSecond / raw256[mode].perSecond)
  const figure = { kind: 'rate', perSecond: median(rates) } as const
  const { details } = latency(figures)
  const target = atLeast(toRaw.pool, 0.45, '0.45 × raw-256 pool')
  return { id, what, figure, toRaw, target, details: { rounds: rates, ...details, ...verified } }
}

function latency(figures: readonly Figures[]): { figure: Row['figure']; details: Record<string, number> } {
  const p50Ms = median(figures.map((round) => round.p50Ms))
  const p99Ms = median(figures.map((round) => round.p99Ms))
  const perSecond = median(figures.map((round) => round.perSecond))
  return { figure: { kind: 'latency', p50Ms, p99Ms }, details: { p50Ms, p99Ms, perSecond } }
}

function ratios(
  rounds: readonly Round[],
  ratio: (round: Round, mode: RawMode) => number,
): { readonly pool: number; readonly synchronous: number } {
  const of = (mode: RawMode): number => median(rounds.map((round) => ratio(round, mode)))
  return { pool: of('pool'), synchronous: of('synchronous') }
}
