"""What Redis does in one step for the cache of answers.

KEYS[1] is the answer's; beside it stands the lease of whoever is answering (``…:lease``), and what
must not be cached but is there for those that waited (``…:shared``).
"""

#: KEYS[2] holds the neighbours. ARGV: token, lease in ms, 1 for one that has waited. The answer
#: and for how many ms it is still kept, or who is to make it, who gets the neighbours as well.
LOOK = """
local kept = redis.call('GET', KEYS[1])
if kept then return {'hit', kept, redis.call('PTTL', KEYS[1])} end
if ARGV[3] == '1' then
  kept = redis.call('GET', KEYS[1] .. ':shared')
  if kept then return {'shared', kept, 0} end
end
if redis.call('SET', KEYS[1] .. ':lease', ARGV[1], 'NX', 'PX', ARGV[2]) then
  return {'led', redis.call('GET', KEYS[2]) or '', 0}
end
return {'busy', '', 0}"""
#: ARGV: token, lease in ms.
RENEW = """
if redis.call('GET', KEYS[1] .. ':lease') == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1] .. ':lease', ARGV[2])
end"""
#: KEYS[2] is the list of the tenant's answers, KEYS[3] holds the neighbours. ARGV: token, the
#: answer or nothing, for how many ms, 1 when it is to be cached, the time in ms, the question's own
#: entry among the neighbours or nothing, how many there may be. Ends the lease; one that lapsed
#: does no harm, for the answer is of the revision in its key.
FINISH = """
if redis.call('GET', KEYS[1] .. ':lease') == ARGV[1] then
  redis.call('DEL', KEYS[1] .. ':lease')
end
if ARGV[2] ~= '' then
  local key = KEYS[1]
  if ARGV[4] == '0' then key = key .. ':shared' end
  redis.call('SET', key, ARGV[2], 'PX', ARGV[3])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])
  redis.call('ZADD', KEYS[2], ARGV[5] + ARGV[3], key)
  if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[3]) then
    redis.call('PEXPIRE', KEYS[2], ARGV[3])
  end
  if ARGV[6] ~= '' and ARGV[4] == '1' then
    local near = ARGV[6] .. (redis.call('GET', KEYS[3]) or '')
    redis.call('SET', KEYS[3], string.sub(near, 1, #ARGV[6] * ARGV[7]), 'PX', ARGV[3])
  end
end"""
#: KEYS: the list of a tenant's answers. Removes them all; how many were still there.
FORGET = """
local removed = 0
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  removed = removed + redis.call('UNLINK', key)
end
redis.call('DEL', KEYS[1])
return removed"""
