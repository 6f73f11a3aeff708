/**
 * The actors in memory, by stream and in the order of their last use: a list linked through the actors themselves, so
 * that each use costs a few assignments.
 */
import type { Actor } from './actor.ts'

export class ActiveActors {
  readonly #byStream = new Map<string, Actor>()
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
    this.#link(actor)
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
    this.#unlink(actor)
  }

  all(): IterableIterator<Actor> {
    return this.#byStream.values()
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
