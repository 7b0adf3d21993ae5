local place, name, index, worker = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', meta, 'closed') == '1' then return {'closed', 0, 0} end
if is_done(name, index) then return {'done', 0, 0} end
if redis.call('HEXISTS', graves, place) == 1 then return {'buried', 0, 0} end
local who = redis.call('HGET', beside, place)
if who ~= '' and who ~= worker then return {'held', 0, 0} end
redis.call('HSET', beside, place, worker)
local n = tonumber(redis.call('HGET', attempts, place) or '0')
return {'go', n, tonumber(redis.call('HGET', failures, place) or '0')}
