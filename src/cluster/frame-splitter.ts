/**
 * Cuts the bytes of a connection into frames: a u32 length, little-endian, then so many bytes. The length is looked at
 * before there is memory for the frame. A frame's bytes are copied once, into memory of its own.
 */
import { BadFrame } from './frame.ts'
import { FRAME_BYTES_MAX } from './network.ts'

const LENGTH_BYTES = 4
/** Memory that need not be zeroed first is worth its price from here on. */
const SMALL_BYTES = 4096

export class FrameSplitter {
  /** The frame that is being read, once its length is known. */
  #frame: Uint8Array<ArrayBuffer> | undefined
  /** Bytes of the length, or of the frame, that are there. */
  #filled = 0
  #length = 0

  /** Whether what was read ends with a whole frame. */
  get isBetweenFrames(): boolean {
    return this.#frame === undefined && this.#filled === 0
  }

  /**
   * Hands out the frames that the bytes complete, until the receiver returns false. Returns how many bytes were taken;
   * the others are to be given again.
   *
   * @throws BadFrame where a frame is too long. Nothing can be read any more.
   */
  split(bytes: Uint8Array, receive: (frame: Uint8Array<ArrayBuffer>) => boolean): number {
    let at = 0
    for (;;) {
      at = this.#frame === undefined ? this.#readLength(bytes, at) : this.#readFrame(bytes, at)
      const frame = this.#frame
      if (frame === undefined || this.#filled < frame.length) {
        if (at === bytes.length) return at
        continue
      }
      this.#frame = undefined
      this.#filled = 0
      if (!receive(frame)) return at
      if (at === bytes.length) return at
    }
  }

  #readLength(bytes: Uint8Array, start: number): number {
    let at = start
    while (this.#filled < LENGTH_BYTES && at < bytes.length) {
      this.#length = (this.#length | (bytes[at]! << (8 * this.#filled))) >>> 0
      this.#filled += 1
      at += 1
    }
    if (this.#filled < LENGTH_BYTES) return at
    if (this.#length > FRAME_BYTES_MAX)
      throw new BadFrame(`a frame of ${this.#length} bytes is longer than the ${FRAME_BYTES_MAX} that are allowed`)
    this.#frame = memory(this.#length)
    this.#filled = 0
    this.#length = 0
    return at
  }

  #readFrame(bytes: Uint8Array, start: number): number {
    const frame = this.#frame!
    const end = Math.min(start + frame.length - this.#filled, bytes.length)
    frame.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), this.#filled)
    this.#filled += end - start
    return end
  }
}

function memory(length: number): Uint8Array<ArrayBuffer> {
  return length < SMALL_BYTES ? new Uint8Array(length) : new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
}
