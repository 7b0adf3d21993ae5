-- KEYS[1]: members of a group, as they were announced.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, found = redis.call('HGETALL', KEYS[1]), {}
for at = 1, #all, 2 do
  local until_ms, words = string.match(all[at + 1], '^(%d+) (.*)$')
  if tonumber(until_ms) > now then
    found[#found + 1] = all[at]
    found[#found + 1] = words
  end
end
return found
