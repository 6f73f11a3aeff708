/** First in, first out, without moving what is left at every step. */
export class Queue<Item> {
  #items: (Item | undefined)[] = []
  #head = 0

  get isEmpty(): boolean {
    return this.#head === this.#items.length
  }

  push(item: Item): void {
    this.#items.push(item)
  }

  /** Takes the first item of a queue that is not empty. */
  shift(): Item {
    const item = this.#items[this.#head]!
    this.#items[this.#head] = undefined
    this.#head += 1
    // What was taken goes once it is the greater part, so that a queue that is never empty does not grow for ever.
    if (this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }
}
