import { createRequire } from 'node:module'
import fc from 'fast-check'
import type * as Msgpackr from 'msgpackr'
import { expect } from 'vitest'
import { BadEncoding, decode, encode } from '../../src/log/codec.ts'
import { mutate, mutations } from './mutation.ts'
import { expectPlain, plain, STAND_IN } from './plain-data.ts'
import { orDocumented, target, type Target } from './target.ts'

const { Unpackr } = createRequire(import.meta.url)('msgpackr/index-no-eval') as typeof Msgpackr
const reference = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'bigint' })
/** A text that begins with a byte order mark loses it in msgpackr. */
const MARK = Buffer.from('\ufeff')

/** Bytes give plain data, which reads back from its own encoding, or BadEncoding. What they give is what msgpackr reads. */
export async function expectStrict(bytes: Uint8Array): Promise<void> {
  const value = await orDocumented(
    () => decode(bytes),
    (error) => error instanceof BadEncoding,
  )
  if (value === undefined) return
  expectPlain(value)
  expect(decode(encode(value))).toEqual(withoutMinusZero(value))
  const inUse = Buffer.concat([Buffer.from([0xc0, 0xa5]), bytes, Buffer.from([0x93, 0xff])])
  expect(decode(inUse, 2, 2 + bytes.length)).toEqual(value)
  if (!Buffer.from(bytes).includes(MARK)) expect(reference.unpack(Buffer.from(bytes))).toEqual(withBuffers(value))
}

export const messagePack: Target = target(
  'messagepack',
  fc.oneof(
    fc
      .record({ value: plain, changes: mutations })
      .map(({ value, changes }) => polluted(mutate(encode(value), changes))),
    fc.uint8Array({ maxLength: 64 }),
  ),
  expectStrict,
)

/** No writer writes the key `__proto__`, so that another of its length stands for it until it is written. */
function polluted(bytes: Buffer): Buffer {
  for (let at = bytes.indexOf(STAND_IN); at !== -1; at = bytes.indexOf(STAND_IN, at)) bytes.write('__proto__', at)
  return bytes
}

/** msgpackr writes a whole number as an integer. */
function withoutMinusZero(value: unknown): unknown {
  return mapped(value, (item) => (Object.is(item, -0) ? 0 : item))
}

function withBuffers(value: unknown): unknown {
  return mapped(value, (item) => (item instanceof Uint8Array ? Buffer.from(item) : item))
}

function mapped(value: unknown, change: (item: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => mapped(item, change))
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return change(value)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapped(item, change)]))
}
