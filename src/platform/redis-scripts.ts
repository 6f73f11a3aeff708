/**
 * What Redis does with beats: Lua, so that each is one atomic step and one round trip. The cluster's three keys share a
 * hash tag, and so a slot of a Redis Cluster:
 *
 *   {penhold:<name>}:cluster  hash: clusterId, shards, settlesAt (0: settled)
 *   {penhold:<name>}:members  hash: member's id → "<ends> <ttl> <sender> <number> <JSON>"
 *   {penhold:<name>}:leases   hash: shard → "<member> <worker> <epoch> <ends>"
 *
 * Times are milliseconds of Redis' clock. A lease's `ends` is 0 as long as each beat of its member mentions it: then it
 * lasts as long as the membership, and a beat that changes nothing writes one field, however many shards there are. It
 * has an end of its own from when a beat does not mention it, or when it was handed over and is not taken up yet.
 *
 * The clock may jump. Forward, everybody's time has run out and nobody was heard, so the store settles. Back, whatever
 * would end further away than two ttls ends after one.
 */
import { HEARD_SHARE } from '../cluster/leases.ts'

/**
 * Reads everything; of members and leases what lives. `isBeat` is defined before it: then what is over is removed.
 * Defines now, cluster, settlesAt, members, leases, hasOthers (somebody but `me` was registered), isHeard.
 */
const READ = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local cluster = redis.call('HMGET', KEYS[1], 'clusterId', 'shards', 'settlesAt')
local members, leases, settlesAt = {}, {}, tonumber(cluster[3] or 0)
local hasOthers, isHeard = false, false

local function whole(number) return string.format('%.0f', number) end

local function bounded(ends, ttl)
  if ends > now + 2 * ttl then return now + ttl end
  return ends
end

local function drop(key, field)
  if isBeat then redis.call('HDEL', key, field) end
end

local function write(id, member)
  local value = table.concat({ whole(member.ends), whole(member.ttl), member.sender, whole(member.number), member.json }, ' ')
  redis.call('HSET', KEYS[2], id, value)
end

local stored = redis.call('HGETALL', KEYS[2])
for i = 1, #stored, 2 do
  local id = stored[i]
  local ends, ttl, sender, number, json = string.match(stored[i + 1], '^(%d+) (%d+) (%S+) (%d+) (.*)$')
  local member = { ends = tonumber(ends), ttl = tonumber(ttl), sender = sender, number = tonumber(number), json = json }
  member.ends = bounded(member.ends, member.ttl)
  if isBeat and member.ends ~= tonumber(ends) then write(id, member) end
  hasOthers = hasOthers or id ~= me
  isHeard = isHeard or member.ends - now >= member.ttl * ${HEARD_SHARE}
  members[id] = member
end
`

/** Leaves out, and in a beat removes, what is over. */
const PRUNE = `
for id, member in pairs(members) do
  if member.ends <= now then
    members[id] = nil
    drop(KEYS[2], id)
  end
end

stored = redis.call('HGETALL', KEYS[3])
for i = 1, #stored, 2 do
  local shard = stored[i]
  local holder, worker, epoch, ends = string.match(stored[i + 1], '^(%S+) (%d+) (%d+) (%d+)$')
  ends = tonumber(ends)
  local member = members[holder]
  if not member or (ends > 0 and ends <= now) then
    drop(KEYS[3], shard)
  else
    leases[shard] = { member = holder, worker = worker, epoch = epoch, ends = ends }
  end
end
`

const VIEW = `
local held = {}
for shard, lease in pairs(leases) do
  local member = members[lease.member]
  local ends = member.ends
  if lease.ends > 0 then ends = math.min(ends, bounded(lease.ends, member.ttl)) end
  local list = held[lease.member] or {}
  held[lease.member] = list
  list[#list + 1] = shard .. ':' .. lease.worker .. ':' .. lease.epoch .. ':' .. whole(ends - now)
end
local view = { 'view', cluster[1], cluster[2], now < settlesAt and 1 or 0 }
for id, member in pairs(members) do
  view[#view + 1] = member.json
  view[#view + 1] = table.concat(held[id] or {}, ',')
end
return view
`

/**
 * KEYS cluster, members, leases
 * ARGV 1 member's id, 2 ttl, 3 sender, 4 number of this beat among the sender's, 5 clusterId, 6 shards, 7 isNew (0 or 1),
 *      8 member as JSON, 9 hold "shard:worker:epoch,…", 10 want "shard:worker,…", 11 release "shard:worker:member,…"
 * Returns { 'view', clusterId, shards, isSettling, member's JSON, its leases "shard:worker:epoch:remaining,…", JSON, … };
 *      { 'other', clusterId, shards } where other data is registered, and { 'late' } where a later beat came first: then
 *      nothing was changed.
 */
export const BEAT_SCRIPT: string = `
local me, ttl, sender, number = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local isBeat = true
${READ}
if cluster[1] and (cluster[1] ~= ARGV[5] or cluster[2] ~= ARGV[6]) then
  -- A name is free once all have left it.
  if next(members) then return { 'other', cluster[1], cluster[2] } end
  redis.call('DEL', KEYS[1], KEYS[3])
  cluster[1] = false
end
local before = members[me]
if before and before.sender == sender and before.number > number then return { 'late' } end

local settlesBefore = settlesAt
settlesAt = bounded(settlesAt, ttl)
if not cluster[1] then
  cluster = { ARGV[5], ARGV[6] }
  settlesAt = ARGV[7] == '1' and 0 or now + ttl
  redis.call('HSET', KEYS[1], 'clusterId', ARGV[5], 'shards', ARGV[6], 'settlesAt', whole(settlesAt))
else
  if hasOthers and not isHeard then settlesAt = now + ttl end
  if settlesAt ~= settlesBefore then redis.call('HSET', KEYS[1], 'settlesAt', whole(settlesAt)) end
end
${PRUNE}
members[me] = { ends = now + ttl, ttl = ttl, sender = sender, number = number, json = ARGV[8] }
write(me, members[me])

local function put(shard, member, worker, epoch, ends)
  local lease = leases[shard]
  if lease and lease.member == member and lease.worker == worker and lease.epoch == epoch and lease.ends == ends then
    return
  end
  leases[shard] = { member = member, worker = worker, epoch = epoch, ends = ends }
  redis.call('HSET', KEYS[3], shard, table.concat({ member, worker, epoch, whole(ends) }, ' '))
end

for shard, worker, to in string.gmatch(ARGV[11], '(%d+):(%d*):([^,]*)') do
  local lease = leases[shard]
  if not lease or lease.member == me then
    if members[to] then
      put(shard, to, worker, '0', now + members[to].ttl)
    elseif lease then
      leases[shard] = nil
      drop(KEYS[3], shard)
    end
  end
end

local isMentioned = {}
for shard, worker, epoch in string.gmatch(ARGV[9], '(%d+):(%d+):(%d+)') do
  local lease = leases[shard]
  isMentioned[shard] = true
  if not lease or lease.member == me or tonumber(epoch) > tonumber(lease.epoch) then put(shard, me, worker, epoch, 0) end
end
for shard, worker in string.gmatch(ARGV[10], '(%d+):(%d+)') do
  local lease = leases[shard]
  isMentioned[shard] = true
  if lease and lease.member == me then
    put(shard, me, worker, lease.epoch, 0)
  elseif not lease and now >= settlesAt then
    put(shard, me, worker, '0', 0)
  end
end

for shard, lease in pairs(leases) do
  if lease.member == me and not isMentioned[shard] then
    local ends = lease.ends
    -- Only what was handed over in this very beat has an end of its own where the member was not registered before.
    if ends == 0 then ends = before.ends end
    put(shard, me, lease.worker, lease.epoch, bounded(ends, ttl))
  end
end
${VIEW}`

/**
 * KEYS cluster, members, leases
 * Returns as a beat does, or { 'none' } where no cluster is registered. Changes nothing.
 */
export const LOOK_SCRIPT: string = `
local me, isBeat = '', false
${READ}
if not cluster[1] then return { 'none' } end
${PRUNE}${VIEW}`

/**
 * KEYS cluster, members, leases
 * ARGV 1 member's id
 * Returns { 'left' }
 */
export const LEAVE_SCRIPT: string = `
local leases = redis.call('HGETALL', KEYS[3])
for i = 1, #leases, 2 do
  if string.match(leases[i + 1], '^%S+') == ARGV[1] then redis.call('HDEL', KEYS[3], leases[i]) end
end
redis.call('HDEL', KEYS[2], ARGV[1])
return { 'left' }
`
