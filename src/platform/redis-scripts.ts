/**
 * What Redis does with beats: Lua, so that each is one atomic step and one round trip. The cluster's three keys share a
 * hash tag, and so a slot of a Redis Cluster:
 *
 *   {penhold:<name>}:cluster  hash: clusterId, shards, settlesAt (0: settled)
 *   {penhold:<name>}:members  hash: member's id → "<ends> <ttl> <sender> <number> <JSON>"
 *   {penhold:<name>}:leases   hash: member's id → "<shard>:<worker>:<epoch>:<ends>,…", by shard
 *
 * Times are milliseconds of Redis' clock. A lease's `ends` is 0 as long as each beat of its member mentions it: then it
 * lasts as long as the membership. It has an end of its own from when a beat does not mention it, or when it was handed
 * over and is not taken up yet. So a beat that changes nothing says what stands there already: that is one comparison of
 * texts and one field written, however many shards there are.
 *
 * The clock may jump. Forward, everybody's time has run out and nobody was heard, so the store settles. Back, whatever
 * would end further away than two ttls ends after one.
 */
import { HEARD_SHARE } from '../cluster/leases.ts'

/** Reads everything. `me` and `isBeat` are defined before it; only a beat writes. */
const READ = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local cluster = redis.call('HMGET', KEYS[1], 'clusterId', 'shards', 'settlesAt')
local settlesAt = tonumber(cluster[3] or 0)
-- All that are registered, also those whose time has run out.
local members = {}
local hasOthers, isHeard = false, false

local function whole(number) return string.format('%.0f', number) end

local function bounded(ends, ttl)
  if ends > now + 2 * ttl then return now + ttl end
  return ends
end

local function write(id, member)
  local value = { whole(member.ends), whole(member.ttl), member.sender, whole(member.number), member.json }
  redis.call('HSET', KEYS[2], id, table.concat(value, ' '))
end

local stored = redis.call('HGETALL', KEYS[2])
for i = 1, #stored, 2 do
  local id = stored[i]
  local ends, ttl, sender, number, json = string.match(stored[i + 1], '^(%d+) (%d+) (%S+) (%d+) (.*)$')
  -- What no node wrote is nobody's.
  if ends then
    local member = { ends = tonumber(ends), ttl = tonumber(ttl), sender = sender, number = tonumber(number), json = json }
    member.ends = bounded(member.ends, member.ttl)
    if isBeat and member.ends ~= tonumber(ends) then write(id, member) end
    hasOthers = hasOthers or id ~= me
    isHeard = isHeard or member.ends - now >= member.ttl * ${HEARD_SHARE}
    members[id] = member
  end
end
`

/** Leaves out who is gone, with all leases; a beat removes them. Defines \`texts\`: member's id → its leases. */
const PRUNE = `
for id, member in pairs(members) do
  if member.ends <= now then
    members[id] = nil
    if isBeat then redis.call('HDEL', KEYS[2], id) end
  end
end
local texts = {}
stored = redis.call('HGETALL', KEYS[3])
for i = 1, #stored, 2 do
  local id = stored[i]
  if members[id] then
    texts[id] = stored[i + 1]
  elseif isBeat then
    redis.call('HDEL', KEYS[3], id)
  end
end
`

const VIEW = `
local view = { 'view', cluster[1], cluster[2], now < settlesAt and 1 or 0, now }
for id, member in pairs(members) do
  view[#view + 1] = member.json
  view[#view + 1] = member.ends
  view[#view + 1] = texts[id] or ''
end
return view
`

/**
 * KEYS cluster, members, leases
 * ARGV 1 member's id, 2 ttl, 3 sender, 4 number of this beat among the sender's, 5 clusterId, 6 shards, 7 isNew (0 or 1),
 *      8 member as JSON, 9 hold "shard:worker:epoch:0,…" by shard, 10 want "shard:worker,…",
 *      11 release "shard:worker:member,…"
 * Returns { 'view', clusterId, shards, isSettling (0 or 1), now, and for each member: JSON, ends, its leases };
 *      { 'other', clusterId, shards } where other data is registered, and { 'late' } where a later beat came first: then
 *      nothing was granted or taken.
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
  -- It was away; or it is a copy of long ago, or has lost members, who would have taken their leases along.
  local isOwner = ARGV[9] ~= ''
  local hasLost = not next(members) and redis.call('EXISTS', KEYS[3]) == 1
  if not isHeard and (hasOthers or isOwner or hasLost) then settlesAt = now + ttl end
  if settlesAt ~= settlesBefore then redis.call('HSET', KEYS[1], 'settlesAt', whole(settlesAt)) end
end
${PRUNE}
members[me] = { ends = now + ttl, ttl = ttl, sender = sender, number = number, json = ARGV[8] }
write(me, members[me])

local function change()
  -- Shard → lease, and whose leases are others than before.
  local leases, isChanged = {}, {}
  for id, text in pairs(texts) do
    for shard, worker, epoch, given in string.gmatch(text, '(%d+):(%d+):(%d+):(%d+)') do
      local ends = bounded(tonumber(given), members[id].ttl)
      if ends ~= tonumber(given) then isChanged[id] = true end
      if ends == 0 or ends > now then
        leases[shard] = { member = id, worker = worker, epoch = epoch, ends = ends }
      else
        isChanged[id] = true
      end
    end
  end

  local function put(shard, lease)
    local old = leases[shard]
    if old then isChanged[old.member] = true end
    if lease then isChanged[lease.member] = true end
    leases[shard] = lease
  end

  for shard, worker, to in string.gmatch(ARGV[11], '(%d+):(%d*):([^,]*)') do
    local lease = leases[shard]
    if not lease or lease.member == me then
      local target = members[to]
      put(shard, target and { member = to, worker = worker, epoch = '0', ends = now + target.ttl })
    end
  end
  local isMentioned = {}
  for shard, worker, epoch in string.gmatch(ARGV[9], '(%d+):(%d+):(%d+):0') do
    local lease = leases[shard]
    isMentioned[shard] = true
    if not lease or lease.member == me or tonumber(epoch) > tonumber(lease.epoch) then
      put(shard, { member = me, worker = worker, epoch = epoch, ends = 0 })
    end
  end
  for shard, worker in string.gmatch(ARGV[10], '(%d+):(%d+)') do
    local lease = leases[shard]
    isMentioned[shard] = true
    if lease and lease.member == me then
      put(shard, { member = me, worker = worker, epoch = lease.epoch, ends = 0 })
    elseif not lease and now >= settlesAt then
      put(shard, { member = me, worker = worker, epoch = '0', ends = 0 })
    end
  end
  for shard, lease in pairs(leases) do
    if lease.member == me and lease.ends == 0 and not isMentioned[shard] then
      lease.ends = before.ends
      isChanged[me] = true
    end
  end

  local shards = {}
  for shard, lease in pairs(leases) do
    local list = shards[lease.member] or {}
    shards[lease.member] = list
    if isChanged[lease.member] then list[#list + 1] = tonumber(shard) end
  end
  for id in pairs(isChanged) do
    local list = shards[id] or {}
    table.sort(list)
    for i, number in ipairs(list) do
      local shard = whole(number)
      local lease = leases[shard]
      list[i] = shard .. ':' .. lease.worker .. ':' .. lease.epoch .. ':' .. whole(lease.ends)
    end
    texts[id] = table.concat(list, ',')
    if #list > 0 then redis.call('HSET', KEYS[3], id, texts[id]) else redis.call('HDEL', KEYS[3], id) end
  end
end

if ARGV[10] ~= '' or ARGV[11] ~= '' or ARGV[9] ~= (texts[me] or '') then change() end
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
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return { 'left' }
`
