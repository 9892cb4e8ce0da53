-- Keeps the entry unless a newer version, or its tombstone, is there.
local known = redis.call('get', KEYS[1])
if known and struct.unpack('>I8', known) > tonumber(ARGV[1]) then
    return 0
end
redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3])
return 1
