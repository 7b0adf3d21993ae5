-- Returns the incarnation, how many events were trimmed away and how many there have been so far, and what follows
-- the cursor.
local after, most = ARGV[1], ARGV[2]
local incarnation = redis.call('HGET', meta, 'incarnation') or ''
if redis.call('EXISTS', events) == 0 then return {incarnation, 0, 0, {}} end
local added, length = 0, 0
local info = redis.call('XINFO', 'STREAM', events)
for at = 1, #info, 2 do
  if info[at] == 'entries-added' then added = info[at + 1] end
  if info[at] == 'length' then length = info[at + 1] end
end
local found = {}
for _, entry in ipairs(redis.call('XRANGE', events, '(' .. after, '+', 'COUNT', most)) do
  found[#found + 1] = entry[1]
  found[#found + 1] = entry[2][2]
end
return {incarnation, added - length, added, found}
