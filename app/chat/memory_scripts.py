"""What Redis does in one step for the memory of conversations."""

#: KEYS: the turns, the caller's sessions, for each cited document the sessions that cite it, and
#: where the quotes go, if there are any. ARGV: the turn, how many are kept, for how long in
#: seconds, the session, the time, the most sessions, the name of the turns, the quotes, and the
#: turn without its text, for the case that a document it cites was deleted while it was answered.
REMEMBER = """
local kept_s, quotes, turn = ARGV[3], ARGV[8], ARGV[1]
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i] .. ':gone') == 1 then turn = ARGV[9] end
end
redis.call('RPUSH', KEYS[1], turn)
redis.call('LTRIM', KEYS[1], -ARGV[2], -1)
redis.call('EXPIRE', KEYS[1], kept_s)
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5] - kept_s)
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -ARGV[6] - 1)
redis.call('EXPIRE', KEYS[2], kept_s)
local last = #KEYS
if quotes ~= '' then
  redis.call('SET', KEYS[last], quotes, 'EX', kept_s)
  last = last - 1
end
for i = 3, last do
  redis.call('SADD', KEYS[i], ARGV[7])
  redis.call('EXPIRE', KEYS[i], kept_s)
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
