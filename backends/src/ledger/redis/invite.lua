local place = ARGV[1]
if redis.call('HEXISTS', holders, place) == 1 then redis.call('HSETNX', beside, place, '') end
return 1
