-- KEYS[1]: members of a group, as they were announced. Whoever is not there any more is removed by those who look.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, found = redis.call('HGETALL', KEYS[1]), {}
for at = 1, #all, 2 do
  local until_ms, words = string.match(all[at + 1], '^(%d+) (.*)$')
  if tonumber(until_ms) > now then
    found[#found + 1] = all[at]
    found[#found + 1] = words
  else
    redis.call('HDEL', KEYS[1], all[at])
  end
end
return found
