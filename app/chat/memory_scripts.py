"""What Redis does in one step for the memory of conversations.

Nothing here has a lifetime, so that a full Redis evicts other things; what was not used for long is
swept (``memory_sweep.py``). A Redis that is full of such refuses ``REMEMBER`` before anything of it
is done; it lets the other scripts finish, because they begin with a command that frees memory.
"""

#: KEYS: the turns, the caller's sessions, the tenant's documents that were deleted just now, the
#: caller's sessions that were, for each cited document the sessions that cite it, and for each
#: entry its key. ARGV: the turn, the same without its text, for the case that a document it cites
#: was deleted while it was answered, how many turns are kept, for how long in seconds, the session,
#: the time, the most sessions, the name of the turns, how many entries there are, how many seconds
#: the answer took, the ids of the documents, and value and seconds of each entry. A session that
#: was deleted in those seconds stays deleted; Redis' clock says so, which all processes share.
REMEMBER = """
local turn, at, oldest, entries = ARGV[1], ARGV[6], ARGV[6] - ARGV[4], tonumber(ARGV[9])
local documents = #KEYS - 4 - entries
for i = 1, entries do
  local value = 9 + documents + 2 * i
  redis.call('SET', KEYS[4 + documents + i], ARGV[value], 'EX', ARGV[value + 1])
end
local forgotten, now = redis.call('ZSCORE', KEYS[4], ARGV[5]), redis.call('TIME')
if forgotten and now[1] + now[2] / 1e6 - ARGV[10] < tonumber(forgotten) then return end
for i = 1, documents do
  if redis.call('ZSCORE', KEYS[3], ARGV[10 + i]) then turn = ARGV[2] end
end
redis.call('RPUSH', KEYS[1], turn)
redis.call('LTRIM', KEYS[1], -ARGV[3], -1)
redis.call('ZADD', KEYS[2], at, ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', oldest)
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -ARGV[7] - 1)
for i = 5, 4 + documents do
  redis.call('ZADD', KEYS[i], at, ARGV[8])
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', oldest)
end"""
#: KEYS: the turns, the caller's sessions, those that were deleted just now. ARGV: the session, and
#: how long any answer takes. Forgets it, and says so to answers being written; how much there was.
FORGET = """
local removed = redis.call('DEL', KEYS[1]) + redis.call('ZREM', KEYS[2], ARGV[1])
if removed > 0 then
  local now = redis.call('TIME')
  now = now[1] + now[2] / 1e6
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[2])
  redis.call('ZADD', KEYS[3], now, ARGV[1])
end
return removed"""
#: KEYS: the tenant's documents that were deleted just now, the sessions that cite one. ARGV: that
#: one, the time, and how long any answer takes. Says to answers being written that it is gone; the
#: sessions.
MARK_GONE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2] - ARGV[3])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return redis.call('ZRANGE', KEYS[2], 0, -1)"""
#: KEYS: turns. ARGV: a document. Empties the text of the turns that cite it; how many there are.
EMPTY = """
local emptied = 0
redis.call('LTRIM', KEYS[1], 0, -1)
for place, kept in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local turn = cjson.decode(kept)
  for _, cite in ipairs(turn[6]) do
    if cite[2] == ARGV[1] then
      emptied = emptied + 1
      if turn[4] ~= '' then
        turn[4] = ''
        redis.call('LSET', KEYS[1], place - 1, cjson.encode(turn))
      end
      break
    end
  end
end
return emptied"""
