/** One line of JSON and a line with its CRC-32: small files that are written whole and never changed. */
import { crc32 } from 'node:zlib'

export function encodeChecked(value: object): Uint8Array {
  const text = JSON.stringify(value)
  return Buffer.from(`${text}\n${checkOf(text)}\n`)
}

/** The value; undefined where these are not the very bytes that were written. */
export function decodeChecked(content: Uint8Array): unknown {
  const written = Buffer.from(content).toString('utf8')
  const [text = ''] = written.split('\n', 1)
  if (written !== `${text}\n${checkOf(text)}\n`) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** CRC-32 in hexadecimal. */
export function checkOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0')
}
