/**
 * What Redis does with read models: Lua, so that each is one atomic step and one round trip. All keys of a projection share
 * a hash tag, and so a slot of a Redis Cluster:
 *
 *   {<prefix>:<projection>}:control          hash: format, revision, record (read/control.ts), g:<n> for each generation,
 *                                            half:<n>, dropped:<n>
 *   {<prefix>:<projection>}:<n>:places       hash: lane → "<position>:<shard>"
 *   {<prefix>:<projection>}:<n>:order        sorted set of "<stream>\0<version>" of what is parked, all with score 0
 *   {<prefix>:<projection>}:<n>:parked       hash: "<stream>\0<version>" → JSON
 *   {<prefix>:<projection>}:<n>:keys         set: the model's keys, so that they can be deleted
 *   {<prefix>:<projection>}:<n>:model:<name> what handlers make
 */

/**
 * KEYS: control. ARGV: format, the first record. Makes it, with the first generation, where there is none: a server that was
 * emptied begins anew. Returns { format, record }.
 */
export const CONTROL_SCRIPT = `
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'revision', 1, 'record', ARGV[2], 'g:1', 1)
end
return redis.call('HMGET', KEYS[1], 'format', 'record')
`

/**
 * KEYS: control, what must be empty. ARGV: the revision that is replaced, the one that comes, its record, how many generations are begun, these,
 * and those that are dropped. From here on nobody writes these; their keys are deleted afterwards, and \`dropped:<n>\` stands
 * until they are. Returns 1, or 0 where the record is of another revision.
 */
export const REPLACE_SCRIPT = `
if redis.call('HGET', KEYS[1], 'revision') ~= ARGV[1] then return 0 end
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'record', ARGV[3])
local dropped = 5 + tonumber(ARGV[4])
for i = 5, #ARGV do
  if i < dropped then
    redis.call('HSET', KEYS[1], 'g:' .. ARGV[i], 1)
  else
    redis.call('HSET', KEYS[1], 'dropped:' .. ARGV[i], 1)
    redis.call('HDEL', KEYS[1], 'g:' .. ARGV[i], 'half:' .. ARGV[i])
  end
end
return 1
`

/**
 * KEYS: control, places, parked. ARGV: generation, lane, from, to, how many commands at the beginning do no harm if they are
 * run alone, how many parked events are to be unparked, these, and the commands: of each the number of its words, and these.
 *
 * Returns { 'done' }; { 'gone' } where there is no such generation; { 'moved' } where the lane stands elsewhere, or an event
 * is not parked;
 * { 'refused', message } where Redis refuses to write, or the first command that counts, and nothing was changed;
 * { 'half', message } where it refused a later one. Redis undoes nothing, so the generation is marked: nothing more is
 * written to it, and whoever tries is told.
 */
export const COMMIT_SCRIPT = `
local generation, lane, from, to = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HEXISTS', KEYS[1], 'g:' .. generation) == 0 then return { 'gone' } end
local half = redis.call('HGET', KEYS[1], 'half:' .. generation)
if half then return { 'half', half } end
local before = redis.call('HGET', KEYS[2], lane)
if (before or '0:0') ~= from then return { 'moved' } end
local at, count = 7 + tonumber(ARGV[6]), 0
for i = 7, at - 1 do
  if redis.call('HEXISTS', KEYS[3], ARGV[i]) == 0 then return { 'moved' } end
end
-- First, as a server that has no room, or does not lead, refuses this like all that follow.
local moved = redis.pcall('HSET', KEYS[2], lane, to)
if type(moved) == 'table' and moved.err then return { 'refused', moved.err } end
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  local reply = redis.pcall(unpack(ARGV, at + 1, at + words))
  if type(reply) == 'table' and reply.err then
    if before then redis.call('HSET', KEYS[2], lane, before) else redis.call('HDEL', KEYS[2], lane) end
    if count <= tonumber(ARGV[5]) then return { 'refused', reply.err } end
    local problem = string.upper(ARGV[at + 1]) .. ' ' .. tostring(ARGV[at + 2]) .. ': ' .. reply.err
    redis.call('HSET', KEYS[1], 'half:' .. generation, problem)
    return { 'half', problem }
  end
  at = at + words + 1
  count = count + 1
end
return { 'done' }
`
