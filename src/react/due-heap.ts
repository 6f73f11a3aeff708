/** What is due, earliest first: a binary heap. */
export interface Due {
  /** In milliseconds since 1970. */
  readonly due: number
}

export class DueHeap<Item extends Due> {
  #items: Item[] = []

  get size(): number {
    return this.#items.length
  }

  /** What is due first; undefined where nothing is there. */
  get first(): Item | undefined {
    return this.#items[0]
  }

  clear(): void {
    this.#items = []
  }

  /** Takes out what is due later than this. */
  cut(due: number): readonly Item[] {
    const cut = this.#items.filter((item) => item.due > due)
    if (cut.length === 0) return cut
    const left = this.#items.filter((item) => item.due <= due)
    this.#items = []
    for (const item of left) this.push(item)
    return cut
  }

  push(item: Item): void {
    const items = this.#items
    let i = items.push(item) - 1
    while (i > 0) {
      const parent = (i - 1) >>> 1
      if (items[parent]!.due <= item.due) break
      items[i] = items[parent]!
      i = parent
    }
    items[i] = item
  }

  /** Takes out what is due first. */
  pop(): Item | undefined {
    const items = this.#items
    const [first] = items
    const last = items.pop()
    if (last === undefined || items.length === 0) return first
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= items.length) break
      if (child + 1 < items.length && items[child + 1]!.due < items[child]!.due) child += 1
      if (last.due <= items[child]!.due) break
      items[i] = items[child]!
      i = child
    }
    items[i] = last
    return first
  }
}
