/** Short texts, made within JavaScript: most names and values are short and plain ASCII. */

const SHORT = 24
const ASCII_LAST = 0x7f

/**
 * The text of bytes in UTF-8, where it is of up to 24 ASCII characters and as many bytes are at hand from its beginning on;
 * undefined otherwise. All are made into a text in one call, and what is too much is cut off: two thirds of what a call
 * out of JavaScript takes, and half of adding one character after the other.
 */
export function shortText(b: Uint8Array, at: number, end: number): string | undefined {
  const length = end - at
  if (length > SHORT || at + SHORT > b.length) return undefined
  let bits = 0
  for (let i = at; i < end; i += 1) bits |= b[i]!
  if (bits > ASCII_LAST) return undefined
  // prettier-ignore
  return String.fromCharCode(
    b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!, b[at + 5]!, b[at + 6]!, b[at + 7]!,
    b[at + 8]!, b[at + 9]!, b[at + 10]!, b[at + 11]!, b[at + 12]!, b[at + 13]!, b[at + 14]!, b[at + 15]!,
    b[at + 16]!, b[at + 17]!, b[at + 18]!, b[at + 19]!, b[at + 20]!, b[at + 21]!, b[at + 22]!, b[at + 23]!,
  ).slice(0, length)
}
