local worker, lease_ms = ARGV[1], ARGV[2]
local now, lost = now_ms(), {}
for at = 3, #ARGV do
  local place = ARGV[at]
  local until_ms = redis.call('ZSCORE', holds, place)
  if until_ms and tonumber(until_ms) > now and redis.call('HGET', holders, place) == worker then
    redis.call('ZADD', holds, now + lease_ms, place)
  else
    lost[#lost + 1] = place
  end
end
return lost
