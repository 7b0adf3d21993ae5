-- Whoever serves a run sets its gate: nothing of it is on its way out any more.
redis.call('HSET', meta, 'closed', ARGV[1])
for _, key in ipairs(all_keys()) do redis.call('PERSIST', key) end
return 1
