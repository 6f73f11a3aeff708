import type { Redis } from 'ioredis'

/** In one step, since nodes beat meanwhile. KEYS cluster, members, leases; ARGV 1 milliseconds. Returns nothing. */
const MOVE_CLOCK = `
local function earlier(ends)
  if tonumber(ends) == 0 then return ends end
  return string.format('%.0f', math.max(ends - ARGV[1], 1))
end
local settlesAt = redis.call('HGET', KEYS[1], 'settlesAt')
if settlesAt then redis.call('HSET', KEYS[1], 'settlesAt', earlier(settlesAt)) end
local function rewrite(key, pattern)
  local stored = redis.call('HGETALL', key)
  for i = 1, #stored, 2 do
    local value = string.gsub(stored[i + 1] .. ',', pattern, function(ends, rest) return earlier(ends) .. rest end)
    redis.call('HSET', key, stored[i], string.sub(value, 1, -2))
  end
end
rewrite(KEYS[2], '^(%d+)( .*)$')
rewrite(KEYS[3], '(%d+)(,)')
`

/**
 * As if Redis' clock had been set forward by so much, or back: every time that is written down for the cluster is so much
 * earlier, or later.
 */
export async function moveRedisClock(admin: Redis, cluster: string, ms: number): Promise<void> {
  const keys = ['cluster', 'members', 'leases'].map((key) => `{penhold:${cluster}}:${key}`)
  await admin.eval(MOVE_CLOCK, keys.length, ...keys, ms)
}
