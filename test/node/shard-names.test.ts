import { expect, test } from 'vitest'
import { StreamPlacement } from '../../src/log/stream.ts'
import { ShardNames } from '../../src/node/shard-names.ts'

test('the name in a shard is the first that falls there, and those of all shards take a few times as many looks', () => {
  const placement = new StreamPlacement('cluster', 512)
  let looks = 0
  const names = new ShardNames((stream) => {
    looks += 1
    return placement.shardOf(stream)
  })
  const first = (shard: number): string => {
    for (let salt = 0; ; salt += 1) {
      const name = `$consumer/reactor:mails~${salt}`
      if (placement.shardOf(name) === shard) return name
    }
  }
  // In whatever order they are asked for.
  for (let i = 0; i < 512; i += 1) {
    const shard = (i * 77) % 512
    expect(names.inShard(shard, '$consumer/reactor:mails')).toBe(first(shard))
  }
  expect(looks).toBeLessThan(20 * 512)
  const before = looks
  for (let shard = 0; shard < 512; shard += 1) names.inShard(shard, '$consumer/reactor:mails')
  expect(looks).toBe(before)
})

test('no more names are kept than are in use, and one that is used stays', () => {
  const placement = new StreamPlacement('cluster', 64)
  let looks = 0
  const names = new ShardNames((stream) => {
    looks += 1
    return placement.shardOf(stream)
  })
  const all = (name: string): number => {
    const before = looks
    for (let shard = 0; shard < 64; shard += 1) names.inShard(shard, name)
    return looks - before
  }
  all('$consumer/often')
  for (let n = 0; n < 200; n += 1) {
    names.inShard(n % 64, `$due/${n}`)
    expect(all('$consumer/often')).toBe(0)
  }
  for (let n = 0; n < 200; n += 1) names.inShard(n % 64, `$due/${n}`)
  expect(all('$consumer/often')).toBeGreaterThan(0)
})
