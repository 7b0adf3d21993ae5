-- KEYS[1]: members of a group, each with the time until which it is there, a blank, and its words. It goes with the last.
local member, words, lease_ms = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = now + lease_ms
redis.call('HSET', KEYS[1], member, string.format('%.0f ', last) .. words)
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local until_ms = tonumber(string.match(all[at + 1], '^%d+'))
  if until_ms <= now then redis.call('HDEL', KEYS[1], all[at]) end
  if until_ms > last then last = until_ms end
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', last - now))
return 1
