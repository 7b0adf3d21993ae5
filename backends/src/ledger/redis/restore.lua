-- ARGV[1]: a name for this life of the ledger, or empty while there is more to come.
if ARGV[1] ~= '' then redis.call('HSETNX', meta, 'incarnation', ARGV[1]) end
for at = 2, #ARGV, 3 do
  set_bit(ARGV[at + 1], ARGV[at + 2], 1)
  forget_place(ARGV[at])
end
return 1
