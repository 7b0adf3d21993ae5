local lost = redis.call('ZRANGEBYSCORE', holds, '-inf', now_ms())
for _, place in ipairs(lost) do
  drop_hold(place)
  record('{"lost":{"place":"' .. place .. '"}}')
end
return lost
