/**
 * A moment of a log that is being written, from its files alone: how far each journal was written, and the position up to
 * which that is everything. Nobody is asked, and nothing is written into the data directory.
 *
 * Every journal is looked at again and again. Between two rounds of looks lies a moment.
 *
 *   - All that was durable at the moment is found by the second round.
 *   - What comes after the moment is either not found, or in a journal that changed between the two rounds; there it has
 *     a greater position than all that the first round found in that journal. So up to the least of the last positions
 *     that the first round found in journals that changed since, what was found is what was durable at the moment: no
 *     more and no less. A cause has a smaller position than its effect, and was durable before it (I6).
 *   - Claims are looked at last. Where the newest epoch of a shard is one whose opening was found, nobody had claimed the
 *     shard when its owner's journal was looked at, so that all that stands there counts (I1). Where it is not, a
 *     take-over is under way, and it is looked once more; or somebody has died in it, which nothing tells from outside:
 *     after some rounds what is there is taken, as whoever takes over next would.
 *   - A seal may stand behind what was found of a former owner's journal: then it is looked once more.
 */
import { PenholdError } from '../../aggregate/error.ts'
import type { Catalog } from '../catalog.ts'
import { newestEpoch } from '../claim.ts'
import type { Clock } from '../clock.ts'
import { JOURNALS_PATH, numbersOf } from '../path.ts'
import { positionsIn } from '../position.ts'
import { decodeOpening, isBefore, type Place, type Reign } from '../reign.ts'
import type { Storage } from '../storage.ts'
import { JournalSurvey, type OpeningPlace, type SurveyOptions } from './journal-survey.ts'
import type { Damage, JournalCopy } from './manifest.ts'

export interface MomentOptions {
  readonly storage: Storage
  readonly catalog: Catalog
  readonly clock: Clock
  readonly shards: number
  /** What an earlier backup has, and is not read again. */
  readonly known: readonly JournalCopy[]
  /** Up to where the earlier backup goes; 0 where there is none. */
  readonly atLeast: number
  /** Told of bytes that were read; throws to end it. */
  readonly onRead: (bytes: number) => void
  /** Between rounds that did not do. */
  readonly pause: () => Promise<void>
}

export interface Moment {
  /** Up to here nothing is missing. */
  readonly position: number
  /** Milliseconds since 1970. */
  readonly time: number
  readonly journals: readonly JournalSurvey[]
  /** Of each shard that was ever opened, oldest first; the last has no seal. */
  readonly reigns: ReadonlyMap<number, readonly Reign[]>
  /** Shards that somebody has claimed and not opened. */
  readonly unopened: readonly number[]
  readonly damages: readonly Damage[]
}

const ROUNDS_MAX = 20
const DAMAGES_MAX = 100
/** The position may be so much behind the newest before it is looked once more. */
const LAG: number = positionsIn(500)

/** @throws PenholdError `BackupUnsettled` */
export async function findMoment(options: MomentOptions): Promise<Moment> {
  const rounds = new Rounds(options)
  await rounds.take()
  let time = options.clock.now()
  for (let round = 1; ; round += 1) {
    const position = await rounds.take()
    const { reigns, isCovered } = await rounds.reigns()
    const unopened = await rounds.unopened()
    const isFresh = rounds.newest - position <= LAG && position >= options.atLeast
    if ((isFresh && isCovered && unopened.length === 0) || round === ROUNDS_MAX) {
      const { journals, damages, newest } = rounds
      if (position < options.atLeast || (position === 0 && newest > 0)) throw unsettled(position, options.atLeast)
      return { position, time, journals, reigns, unopened, damages }
    }
    await options.pause()
    time = options.clock.now()
  }
}

function unsettled(position: number, atLeast: number): PenholdError {
  return new PenholdError(
    'BackupUnsettled',
    `so much of the log changes hands that no moment was found which has more than the backup before (up to position ${position}, and it has ${atLeast}). Try again; where a machine's clock is far behind the others', set it.`,
    { outcome: 'none', retryable: true, details: { position, atLeast } },
  )
}

class Rounds {
  readonly #options: MomentOptions
  readonly #survey: SurveyOptions
  readonly #known: ReadonlyMap<number, JournalCopy>
  readonly #journals = new Map<number, JournalSurvey>()
  readonly #damages = new Map<string, Damage>()
  /** By shard and epoch: the reigns that an opening names. */
  readonly #openings = new Map<string, readonly Reign[]>()
  /** The greatest position that the round before had found. */
  #newest = 0

  constructor(options: MomentOptions) {
    const { storage, catalog, onRead } = options
    this.#options = options
    this.#known = new Map(options.known.map((copy) => [copy.journal, copy]))
    const onDamage = (damage: Damage): void => {
      if (this.#damages.size < DAMAGES_MAX) this.#damages.set(`${damage.path} ${damage.offset}`, damage)
    }
    this.#survey = { storage, catalog, onRead, onDamage }
    for (const journal of this.#known.keys()) this.#journal(journal)
  }

  get journals(): readonly JournalSurvey[] {
    return [...this.#journals.values()].toSorted((a, b) => a.journal - b.journal)
  }
  get damages(): readonly Damage[] {
    return [...this.#damages.values()]
  }
  get newest(): number {
    return this.#newest
  }

  /** Looks at every journal. Resolves to the position up to which, since the round before, nothing is missing. */
  async take(): Promise<number> {
    const { storage } = this.#options
    const before = new Map(this.journals.map(({ journal, positionLast }) => [journal, positionLast]))
    this.#newest = Math.max(0, ...before.values())
    let position = Number.POSITIVE_INFINITY
    for (const journal of numbersOf(await storage.list(JOURNALS_PATH), '')) {
      const isChanged = await this.#journal(journal).look()
      if (isChanged) position = Math.min(position, before.get(journal) ?? 0)
    }
    return position === Number.POSITIVE_INFINITY ? this.#newest : position
  }

  /** Who has owned each shard, and whether all up to their seals was found. */
  async reigns(): Promise<{ readonly reigns: ReadonlyMap<number, readonly Reign[]>; readonly isCovered: boolean }> {
    const reigns = new Map<number, readonly Reign[]>()
    let isCovered = true
    for (const [shard, opening] of this.#newestOpenings()) {
      const before = await this.#reignsBefore(shard, opening)
      isCovered &&= before.every(({ journal, until }) => until === undefined || this.#hasReached(journal, until))
      const { epoch, address } = opening
      reigns.set(shard, [...before, { epoch, journal: address.journal, from: address, until: undefined }])
    }
    return { reigns, isCovered }
  }

  /** The shards whose newest claim nobody has opened, as far as was found. */
  async unopened(): Promise<readonly number[]> {
    const openings = this.#newestOpenings()
    const unopened: number[] = []
    for (let shard = 0; shard < this.#options.shards; shard += 1) {
      const claimed = await newestEpoch(this.#options.storage, shard)
      if (claimed > (openings.get(shard)?.epoch ?? 0)) unopened.push(shard)
    }
    return unopened
  }

  #journal(journal: number): JournalSurvey {
    const known = this.#journals.get(journal)
    if (known !== undefined) return known
    const survey = new JournalSurvey(journal, this.#survey, this.#known.get(journal))
    this.#journals.set(journal, survey)
    return survey
  }

  #newestOpenings(): ReadonlyMap<number, OpeningPlace> {
    const newest = new Map<number, OpeningPlace>()
    for (const { openings } of this.#journals.values()) {
      for (const [shard, opening] of openings) {
        if (opening.epoch > (newest.get(shard)?.epoch ?? 0)) newest.set(shard, opening)
      }
    }
    return newest
  }

  async #reignsBefore(shard: number, { epoch, address }: OpeningPlace): Promise<readonly Reign[]> {
    const key = `${shard}/${epoch}`
    const known = this.#openings.get(key)
    if (known !== undefined) return known
    const record = await this.#options.catalog.record(address)
    const reigns = decodeOpening(record.data)?.reigns ?? []
    this.#openings.set(key, reigns)
    return reigns
  }

  #hasReached(journal: number, seal: Place): boolean {
    const survey = this.#journals.get(journal)
    return survey !== undefined && !isBefore(survey.end, seal)
  }
}
