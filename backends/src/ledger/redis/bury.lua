local place, name, index, grave, event = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if is_done(name, index) then return 0 end
forget_place(place)
redis.call('HSET', graves, place, grave)
record(event)
return 1
