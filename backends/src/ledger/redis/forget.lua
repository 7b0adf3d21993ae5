for _, name in ipairs(redis.call('SMEMBERS', bitmaps)) do redis.call('DEL', bitmap(name)) end
redis.call('DEL', meta, holds, holders, attempts, failures, blamed, graves, events, bitmaps, beside)
return 1
