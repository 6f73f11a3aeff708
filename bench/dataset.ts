/**
 * The big log that replay, cold loads, cold commands and starts are measured on. It is written once by seed.ts, whose
 * process is killed: it ends as a crash leaves it, with a last segment that nobody has indexed.
 *
 * Measurements work on clones, in which the files of the dead writer are linked, not copied: they are never written
 * again. So each clone starts from the same state and costs nothing.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { Account, AccountWithoutSnapshots } from './account.ts'
import { runChild } from './child.ts'
import { say } from './report.ts'

export interface DatasetPlan {
  readonly aggregates: number
  /** Events of other accounts between two of a long account that is spread over the log. */
  readonly eventsBetween: number
  /** The last segment is filled up to this part of it before the writer is killed: what a start after it has to read. */
  readonly lastSegmentFill: number
}

export interface SeedInput {
  readonly dataDir: string
  readonly plan: DatasetPlan
}

/** What was written. */
export interface DatasetFacts {
  readonly events: number
  readonly aggregates: number
  readonly bytes: number
  readonly balance: number
  /** Balances of the long accounts, in their order. */
  readonly longBalances: readonly number[]
}

/** An account with a long life. */
export interface LongAccount {
  readonly aggregate: typeof Account | typeof AccountWithoutSnapshots
  readonly id: string
  readonly events: number
  /** Whether its events stand one behind the other, or `eventsBetween` apart. */
  readonly isContiguous: boolean
}

/** With snapshots half of `snapshotEvery` events more, so that as many stand behind the last one as do on average. */
export const LONG_ACCOUNTS: readonly LongAccount[] = [
  { aggregate: AccountWithoutSnapshots, id: 'contiguous', events: 10_000, isContiguous: true },
  { aggregate: AccountWithoutSnapshots, id: 'spread', events: 10_000, isContiguous: false },
  { aggregate: Account, id: 'contiguous', events: 10_100, isContiguous: true },
  { aggregate: Account, id: 'spread', events: 10_100, isContiguous: false },
]

/** The id of one of the many short-lived accounts. */
export function accountId(number: number): string {
  return `NL-${String(number).padStart(7, '0')}`
}

export class Dataset {
  readonly facts: DatasetFacts
  readonly #dir: string
  readonly #clonesDir: string

  private constructor(dir: string, clonesDir: string, facts: DatasetFacts) {
    this.#dir = dir
    this.#clonesDir = clonesDir
    this.facts = facts
  }

  /** Takes the log of this plan that an earlier run has left in the folder, or writes it. */
  static async open(dir: string, clonesDir: string, plan: DatasetPlan): Promise<Dataset> {
    const name = `seed-${plan.aggregates}-${plan.eventsBetween}-${plan.lastSegmentFill}`
    const dataDir = join(dir, name)
    const factsPath = join(dir, `${name}.json`)
    if (!fs.existsSync(factsPath)) {
      fs.rmSync(dataDir, { recursive: true, force: true })
      fs.mkdirSync(dataDir, { recursive: true })
      const facts = await runChild<DatasetFacts>(
        import.meta.resolve('./seed.ts'),
        { dataDir, plan },
        { isKilled: true },
      )
      // Last of all: a log without its facts is not whole.
      fs.writeFileSync(factsPath, JSON.stringify(facts))
    }
    const facts = JSON.parse(fs.readFileSync(factsPath, 'utf8')) as DatasetFacts
    say(`a log of ${facts.events.toLocaleString('en')} events, ${Math.round(facts.bytes / 1e6)} MB`)
    return new Dataset(dataDir, clonesDir, facts)
  }

  /** The log as its dead writer left it. To be read only. */
  get dataDir(): string {
    return this.#dir
  }

  /** Hands a clone to `work`, and removes it afterwards. */
  async withClone<Result>(work: (dataDir: string) => Promise<Result>): Promise<Result> {
    const clone = fs.mkdtempSync(join(this.#clonesDir, 'clone-'))
    try {
      linkAll(this.#dir, clone)
      return await work(clone)
    } finally {
      fs.rmSync(clone, { recursive: true, force: true })
    }
  }
}

function linkAll(from: string, to: string): void {
  fs.mkdirSync(to, { recursive: true })
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) linkAll(source, target)
    else fs.linkSync(source, target)
  }
}
