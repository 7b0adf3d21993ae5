local place, name, index, worker, lease_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if redis.call('HGET', meta, 'closed') == '1' then return {'closed', 0, 0} end
if is_done(name, index) then return {'done', 0, 0} end
if redis.call('HEXISTS', graves, place) == 1 then return {'buried', 0, 0} end
local now = now_ms()
local until_ms = redis.call('ZSCORE', holds, place)
local counts = 1
if until_ms and tonumber(until_ms) > now then
  if redis.call('HGET', holders, place) ~= worker then return {'held', 0, 0} end
  counts = 0
else
  drop_hold(place)
end
redis.call('ZADD', holds, now + lease_ms, place)
redis.call('HSET', holders, place, worker)
local n = redis.call('HINCRBY', attempts, place, counts)
return {'go', n, tonumber(redis.call('HGET', failures, place) or '0')}
