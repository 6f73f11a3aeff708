/** First in, first out, without moving what is left at every step. */
export class Queue<Item> {
  #items: Item[] = []
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
    this.#head += 1
    if (this.isEmpty) {
      this.#items = []
      this.#head = 0
    }
    return item
  }
}
