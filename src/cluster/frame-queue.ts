/**
 * Frames on their way out, with their lengths before them, as pieces of memory for one write. Small frames are copied
 * behind each other, so that thousands of them are a few pieces, and as much memory as they have bytes; large ones stay
 * where they are.
 */
import { assert } from '../aggregate/assert.ts'
import { FRAME_BYTES_MAX } from './network.ts'

const LENGTH_BYTES = 4
const PAGE_BYTES = 64 * 1024
/** Up to here copying costs less than a piece of its own. */
const COPIED_BYTES_MAX = 8 * 1024

export class FrameQueue {
  #pieces: Uint8Array[] = []
  #page = new Uint8Array(0)
  /** What of the page belongs to no piece yet begins here. */
  #start = 0
  #end = 0
  #bytes = 0

  /** Bytes that wait, with their lengths. */
  get bytes(): number {
    return this.#bytes
  }

  add(frame: Uint8Array): void {
    assert(frame.length <= FRAME_BYTES_MAX, 'a frame is sent in pieces if it is longer than its limit')
    const copied = frame.length <= COPIED_BYTES_MAX ? frame.length : 0
    if (this.#end + LENGTH_BYTES + copied > this.#page.length) this.#turnPage()
    const page = this.#page
    page[this.#end] = frame.length
    page[this.#end + 1] = frame.length >>> 8
    page[this.#end + 2] = frame.length >>> 16
    page[this.#end + 3] = frame.length >>> 24
    this.#end += LENGTH_BYTES
    if (copied > 0) page.set(frame, this.#end)
    this.#end += copied
    if (copied < frame.length) {
      this.#cut()
      this.#pieces.push(frame)
    }
    this.#bytes += LENGTH_BYTES + frame.length
  }

  /** Takes what waits, in order, up to about so many bytes: the piece that reaches them is the last. */
  take(bytesMax: number): readonly Uint8Array[] {
    this.#cut()
    let taken = 0
    let count = 0
    while (taken < bytesMax && count < this.#pieces.length) {
      taken += this.#pieces[count]!.length
      count += 1
    }
    this.#bytes -= taken
    if (count < this.#pieces.length) return this.#pieces.splice(0, count)
    const pieces = this.#pieces
    this.#pieces = []
    return pieces
  }

  clear(): void {
    this.#pieces = []
    this.#start = this.#end
    this.#bytes = 0
  }

  #cut(): void {
    if (this.#start < this.#end) this.#pieces.push(this.#page.subarray(this.#start, this.#end))
    this.#start = this.#end
  }

  #turnPage(): void {
    this.#cut()
    this.#page = new Uint8Array(PAGE_BYTES)
    this.#start = 0
    this.#end = 0
  }
}
