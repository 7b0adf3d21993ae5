-- failure: a JSON document, or empty where the release does not count.
local place, name, index, worker, failure = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local function n_failures()
  return tonumber(redis.call('HGET', failures, place) or '0')
end
if is_done(name, index) or redis.call('HEXISTS', graves, place) == 1 then return n_failures() end
local holder = redis.call('HGET', holders, place)
if failure ~= '' then redis.call('HINCRBY', failures, place, 1) end
local n = n_failures()
if holder == worker then drop_hold(place) end
if holder == worker or (failure ~= '' and not holder) then
  local json = failure ~= '' and failure or 'null'
  record('{"released":{"place":"' .. place .. '","failures":' .. n .. ',"failure":' .. json .. '}}')
end
return n
