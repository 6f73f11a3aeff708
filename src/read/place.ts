/** Places in the order of `$all` as text, for those who keep them: `<position>.<shard>`. */
import { POSITION_MAX } from '../log/position.ts'
import { BEGINNING, type AllPlace } from './all.ts'
import { badPlace } from './error.ts'

export function formatPlace({ position, shard }: AllPlace): string {
  return `${position}.${shard}`
}

/** The place; the beginning where none is given. @throws PenholdError `BadPlace` */
export function parsePlace(text: unknown): AllPlace {
  if (text === undefined) return BEGINNING
  const parts = typeof text === 'string' ? /^(\d{1,16})\.(\d{1,16})$/.exec(text) : null
  const [position, shard] = [Number(parts?.[1]), Number(parts?.[2])]
  if (parts === null || position > POSITION_MAX || !Number.isSafeInteger(shard)) {
    throw badPlace(`${JSON.stringify(text) ?? String(text)} is no place in the log`)
  }
  return { position, shard }
}
