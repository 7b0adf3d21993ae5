for at = 1, #ARGV, 3 do
  local place, name, index = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local was_buried = redis.call('HEXISTS', graves, place) == 1
  local was_done = set_bit(name, index, 0)
  forget_place(place)
  if was_done or was_buried then record('{"reset":{"place":"' .. place .. '"}}') end
end
return 1
