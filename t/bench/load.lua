-- wrk's script: posts batches, each with a number of its own behind "source_request_id":", twelve digits.
-- Arguments: BATCH_FILE BATCHES_A_POST FIRST_NUMBER MOST_POSTS(0: any) DEVICES(0: one) SECONDS STRIDE
--
-- What the generator itself takes of the machine the server lacks, so a batch is put together of pieces that were
-- cut once, whether devices are told apart or not.
--
-- The devices take turns. With STRIDE above 0 their identities are scattered, as real ones are, and each turn is so
-- many further on than the one before: a stride that shares no factor with DEVICES visits all of them.
--
-- wrk forgets what is under way when its time is over. So that every answer is counted, wrk is given more
-- time than SECONDS; from then on its connections ask for something else until the last post is answered.
local ffi = require("ffi")
ffi.cdef [[
   struct kf_time { long s, ns; };
   int clock_gettime(int clock, struct kf_time *t);
   int getpid(void);
   int kill(int pid, int signal);
]]
local threads = {}
local time = ffi.new("struct kf_time")

local function now()
   ffi.C.clock_gettime(1, time)
   return tonumber(time.s) + tonumber(time.ns) / 1e9
end

function setup(thread)
   table.insert(threads, thread)
end

-- Cuts what is behind the number at the identity of device and user: what makes another window.
function cut()
   local rest = after:gsub('"mpid":"%d+"', '"mpid":"@D@"'):gsub("%-8e2a3f9c11aa", "-@D@")
   pieces = {}
   for piece in (rest .. "@D@"):gmatch("(.-)@D@") do
      table.insert(pieces, piece)
   end
   assert(#pieces == 3, "the batch has one mpid and one mp_deviceid that are known here")
end

function init(args)
   local file = assert(io.open(args[1]))
   local text = file:read("*a"):gsub("%s+$", "")
   file:close()
   local from, to = text:find('"source_request_id":"000000000000"', 1, true)
   before, after = text:sub(1, from + 20), text:sub(to)
   batches, number, most = tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
   devices, seconds, stride = tonumber(args[5]), tonumber(args[6]), tonumber(args[7])
   accepted, refused, posted, begun, last = 0, 0, 0, 0, 0
   if devices > 0 then
      cut()
   end
   head = { ["Content-Type"] = "application/json" }
end

-- Twelve digits; below 2^53 all the way, where a number is exact, for up to ten million devices.
local function identity()
   if stride == 0 then
      return string.format("%012d", 1 + number % devices)
   end
   return string.format("%012.0f", number * stride % devices * 611953 % 999999999989)
end

local function batch()
   local digits, id = string.format("%012d", number), devices > 0 and identity()
   number = number + 1
   if id then
      return before .. digits .. pieces[1] .. id .. pieces[2] .. id .. pieces[3]
   end
   return before .. digits .. after
end

local function is_over()
   return now() - begun >= seconds or (most > 0 and posted >= most)
end

function request()
   if not tried then
      tried = true -- wrk asks once to see what it gets
      return wrk.format("POST", nil, head, batch())
   end
   if begun == 0 then
      begun = now()
   elseif is_over() then
      return "GET /over HTTP/1.1\r\nHost: localhost\r\n\r\n"
   end
   posted = posted + 1
   if batches == 1 then
      return wrk.format("POST", nil, head, batch())
   end
   local list = {}
   for i = 1, batches do
      list[i] = batch()
   end
   return wrk.format("POST", nil, head, "[" .. table.concat(list, ",") .. "]")
end

function response(status)
   if status == 202 then
      accepted = accepted + 1
      last = now()
   elseif status ~= 404 then
      refused = refused + 1
      last = now()
   end
   if is_over() and (accepted + refused == posted or now() - math.max(last, begun + seconds) > 3) then
      wrk.thread:stop()
      ffi.C.kill(ffi.C.getpid(), 2) -- wakes what waits for the time to be over
   end
end

function done(summary, latency)
   local took, not_taken, sent, first, finish = 0, 0, 0, math.huge, 0
   for _, thread in ipairs(threads) do
      took = took + thread:get("accepted")
      not_taken = not_taken + thread:get("refused")
      sent = sent + thread:get("posted")
      first = math.min(first, thread:get("begun"))
      finish = math.max(finish, thread:get("last"))
   end
   local e = summary.errors
   io.write(string.format(
      '\nJSON {"seconds":%.6f,"requests":%d,"accepted":%d,"refused":%d,"unanswered":%d,"errors":%d,' ..
      '"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
      finish - first, sent, took, not_taken, sent - took - not_taken,
      e.connect + e.read + e.write + e.timeout,
      latency:percentile(50), latency:percentile(99), latency.max))
end
