for _, key in ipairs(all_keys()) do redis.call('DEL', key) end
return 1
