-- Common to all scripts. KEYS[1] is the run's prefix, with the run as its hash tag: all keys of a
-- run lie in one slot. Time is the server's.
local base = KEYS[1]
local meta, holds, holders = base .. 'meta', base .. 'holds', base .. 'holders'
local attempts, failures, graves, events = base .. 'attempts', base .. 'failures', base .. 'graves', base .. 'events'
local bitmaps, blamed, beside = base .. 'bitmaps', base .. 'blamed', base .. 'beside'

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function bitmap(name)
  return base .. 'done:' .. name
end

local function all_keys()
  local keys = {meta, holds, holders, attempts, failures, blamed, graves, events, bitmaps, beside}
  for _, name in ipairs(redis.call('SMEMBERS', bitmaps)) do keys[#keys + 1] = bitmap(name) end
  return keys
end

local function is_done(name, index)
  return redis.call('GETBIT', bitmap(name), index) == 1
end

-- Whether the bit changed.
local function set_bit(name, index, value)
  redis.call('SADD', bitmaps, name)
  return redis.call('SETBIT', bitmap(name), index, value) ~= value
end

-- Nobody works beside a holder that holds no more.
local function drop_hold(place)
  redis.call('HDEL', beside, place)
  redis.call('HDEL', holders, place)
  return redis.call('ZREM', holds, place) == 1
end

local function forget_place(place)
  drop_hold(place)
  redis.call('HDEL', attempts, place)
  redis.call('HDEL', failures, place)
  redis.call('HDEL', blamed, place)
  redis.call('HDEL', graves, place)
end

local function record(json)
  redis.call('XADD', events, 'MAXLEN', '~', 100000, '*', 'e', json)
end
