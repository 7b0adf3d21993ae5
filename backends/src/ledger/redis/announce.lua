-- KEYS[1]: members of a group, each with the time until which it is there, a blank, and its words. It goes with the last.
-- Nothing here grows with the group: of thousands, each says every few seconds that it is there.
local member, words, lease_ms = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], member, string.format('%.0f ', now + lease_ms) .. words)
-- Never sooner than another's lease: what has no end yet gets one, what has is only put off.
redis.call('PEXPIRE', KEYS[1], lease_ms, 'NX')
redis.call('PEXPIRE', KEYS[1], lease_ms, 'GT')
return 1
