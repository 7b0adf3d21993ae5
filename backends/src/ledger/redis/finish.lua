local place, name, index, event = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
forget_place(place)
if not set_bit(name, index, 1) then return 0 end
record(event)
return 1
