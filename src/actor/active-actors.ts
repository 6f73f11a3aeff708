/**
 * The actors in memory, by stream and in the order of their last use: a list linked through the actors themselves, so
 * that each use costs a few assignments.
 */
import type { Stream } from '../log/stream.ts'
import type { Actor } from './actor.ts'

export class ActiveActors {
  readonly #byStream = new Map<string, Actor>()
  readonly #byHash = new Map<number, Actor>()
  #newest: Actor | undefined
  #oldest: Actor | undefined

  get size(): number {
    return this.#byStream.size
  }

  get(stream: string): Actor | undefined {
    return this.#byStream.get(stream)
  }

  add(actor: Actor): void {
    this.#byStream.set(actor.stream.name, actor)
    this.#byHash.set(hashKey(actor.stream), actor)
    this.#link(actor)
  }

  /**
   * Makes room for a stream that shares its hash, and so its chain in the log, with an active one: two of them cannot
   * be active at once. False where the other cannot leave now.
   */
  makeRoomFor(stream: Stream): boolean {
    const other = this.#byHash.get(hashKey(stream))
    if (other === undefined) return true
    if (other.isQuiet) this.remove(other)
    return other.isQuiet
  }

  touch(actor: Actor, now: number): void {
    actor.lastUsed = now
    if (actor === this.#newest) return
    this.#unlink(actor)
    this.#link(actor)
  }

  /** Removes the actor, where it is still the one of its stream. */
  remove(actor: Actor): void {
    if (this.#byStream.get(actor.stream.name) !== actor) return
    this.#byStream.delete(actor.stream.name)
    this.#byHash.delete(hashKey(actor.stream))
    this.#unlink(actor)
  }

  all(): IterableIterator<Actor> {
    return this.#byStream.values()
  }

  /** The last used first. */
  *byUse(): Generator<Actor> {
    for (let actor = this.#newest; actor !== undefined; actor = actor.older) yield actor
  }

  /** Passivates quiet actors, the least recently used first, while `isDue` says so. */
  passivate(isDue: (actor: Actor) => boolean): number {
    let passivated = 0
    let actor = this.#oldest
    while (actor !== undefined && isDue(actor)) {
      const next: Actor | undefined = actor.newer
      if (actor.isQuiet) {
        this.remove(actor)
        passivated += 1
      }
      actor = next
    }
    return passivated
  }

  #link(actor: Actor): void {
    actor.older = this.#newest
    actor.newer = undefined
    if (this.#newest !== undefined) this.#newest.newer = actor
    this.#newest = actor
    this.#oldest ??= actor
  }

  #unlink(actor: Actor): void {
    if (actor.older === undefined) this.#oldest = actor.newer
    else actor.older.newer = actor.newer
    if (actor.newer === undefined) this.#newest = actor.older
    else actor.newer.older = actor.older
    actor.older = undefined
    actor.newer = undefined
  }
}

/** 53 bits of the hash: streams that share these without sharing all are kept apart in time as well. */
function hashKey({ hash }: Stream): number {
  return hash.high * 2 ** 21 + (hash.low >>> 11)
}
