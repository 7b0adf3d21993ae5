local done = {}
for _, name in ipairs(redis.call('SMEMBERS', bitmaps)) do
  done[#done + 1] = name
  done[#done + 1] = redis.call('GET', bitmap(name)) or ''
end
local last, added = '0-0', 0
if redis.call('EXISTS', events) == 1 then
  local info = redis.call('XINFO', 'STREAM', events)
  for at = 1, #info, 2 do
    if info[at] == 'last-generated-id' then last = info[at + 1] end
    if info[at] == 'entries-added' then added = info[at + 1] end
  end
end
return {redis.call('HGET', meta, 'incarnation') or '', done, redis.call('HGETALL', graves), last, added}
