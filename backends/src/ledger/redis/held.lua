local places, found = redis.call('ZRANGEBYSCORE', holds, '(' .. now_ms(), '+inf'), {}
for _, place in ipairs(places) do
  found[#found + 1] = place
  found[#found + 1] = redis.call('HGET', holders, place) or ''
end
return found
