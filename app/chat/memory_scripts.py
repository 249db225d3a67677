"""What Redis does in one step for the memory of conversations."""

#: KEYS: the turns, the caller's sessions, for each cited document the sessions that cite it, and
#: for each entry its key. ARGV: the turn, the same without its text, for the case that a document
#: it cites was deleted while it was answered, how many turns are kept, for how long in seconds, the
#: session, the time, the most sessions, the name of the turns, how many entries there are, and
#: value and seconds of each.
REMEMBER = """
local turn, kept_s, entries = ARGV[1], ARGV[4], tonumber(ARGV[9])
local documents = #KEYS - entries
for i = 3, documents do
  if redis.call('EXISTS', KEYS[i] .. ':gone') == 1 then turn = ARGV[2] end
  redis.call('SADD', KEYS[i], ARGV[8])
  redis.call('EXPIRE', KEYS[i], kept_s)
end
redis.call('RPUSH', KEYS[1], turn)
redis.call('LTRIM', KEYS[1], -ARGV[3], -1)
redis.call('EXPIRE', KEYS[1], kept_s)
redis.call('ZADD', KEYS[2], ARGV[6], ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[6] - kept_s)
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -ARGV[7] - 1)
redis.call('EXPIRE', KEYS[2], kept_s)
for i = 1, entries do
  redis.call('SET', KEYS[documents + i], ARGV[8 + 2 * i], 'EX', ARGV[9 + 2 * i])
end"""
#: KEYS: turns. ARGV: a document. Empties the text of the turns that cite it; how many there are.
EMPTY = """
local emptied = 0
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
