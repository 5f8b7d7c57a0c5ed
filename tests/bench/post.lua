-- wrk: each request delivers an envelope of its own, from the first device of the file PEOPLE to the others in turn.
-- SIZE: base64 characters of the payload.
local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local threads = 0
function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
end
function init()
  people, bearer = {}, nil
  for line in io.lines(os.getenv("PEOPLE")) do
    local token, text = line:match("(%x+) (%S+)")
    people[#people + 1] = token
    bearer = bearer or text
    if #people == 1001 then break end
  end
  local run = os.getenv("RUN") or "A"
  filler = run .. digits:sub(id + 1, id + 1) .. string.rep("x", tonumber(os.getenv("SIZE") or "600") - 2 - 6)
  headers = { authorization = "bearer " .. bearer }
  n = 0
end
function request()
  n = n + 1
  local rest, name = n, ""
  for _ = 1, 6 do
    name = name .. digits:sub(rest % 64 + 1, rest % 64 + 1)
    rest = math.floor(rest / 64)
  end
  local to = people[n % (#people - 1) + 2]
  return wrk.format("POST", "/3/device/" .. to, headers,
    '{"imsg":"envelope/1","id":"00000000-0000-4000-8000-000000000000","from":"mailto:crowd-0@example.com","from_token":"' ..
    people[1] .. '","to":"mailto:crowd-0@example.com","to_token":"' .. to ..
    '","format":"pair-ec","time":"2026-11-24T03:20:00Z","payload":"' .. filler .. name .. '"}')
end
local bad = 0
function response(status)
  if status ~= 200 then
    bad = bad + 1
    if bad == 1 then print("status " .. status) end
  end
end
function done(summary, latency)
  print(string.format("posts/s %.0f  p50 %.2f ms  p99 %.2f ms  not 200 or 300: %d  socket errors: %d",
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
