-- attempt: the number of the attempt to blame, with a JSON document of its failure; or what becomes of it without
-- one: it is taken back, or stands.
local place, name, index, worker, attempt, failure = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local function n_failures()
  return tonumber(redis.call('HGET', failures, place) or '0')
end
if is_done(name, index) or redis.call('HEXISTS', graves, place) == 1 then return n_failures() end
local holder = redis.call('HGET', holders, place)
local dropped = holder == worker and drop_hold(place)
local is_news = dropped
if failure then
  -- An attempt is blamed once, however often this is sent.
  if tonumber(attempt) > tonumber(redis.call('HGET', blamed, place) or '0') then
    redis.call('HSET', blamed, place, attempt)
    redis.call('HINCRBY', failures, place, 1)
    is_news = dropped or not holder
  end
elseif dropped and attempt == 'back' and tonumber(redis.call('HGET', attempts, place) or '0') > 0 then
  redis.call('HINCRBY', attempts, place, -1)
end
local n = n_failures()
if is_news then
  record('{"released":{"place":"' .. place .. '","failures":' .. n .. ',"failure":' .. (failure or 'null') .. '}}')
end
return n
