local after_ms = ARGV[1]
for _, key in ipairs(all_keys()) do redis.call('PEXPIRE', key, after_ms) end
return 1
