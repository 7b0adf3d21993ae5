-- KEYS[1] is the office itself.
local holder, lease_ms = ARGV[1], ARGV[2]
local now = redis.call('GET', KEYS[1])
if now and now ~= holder then return 0 end
redis.call('SET', KEYS[1], holder, 'PX', lease_ms)
return 1
