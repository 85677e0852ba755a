-- The script of wrk: sends the requests of a file (separated by \30) in turn and prints the results.
-- arguments: the file, and "versions" if a response has the version for the next request.
-- {{n}} is replaced by a unique number, {{version}} by the version of the product.

local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  local file = io.open(arguments[1])
  local at, all = 0, {}
  for text in file:read("*a"):gmatch("[^\30]+") do
    at = at + 1
    if arguments[2] ~= "versions" or at % 2 == number % 2 then all[#all + 1] = text end
  end
  file:close()
  local next_, count = (number * 7919) % #all, 0
  if arguments[2] ~= "versions" then
    function request()
      next_ = next_ % #all + 1
      count = count + 1
      return (all[next_]:gsub("{{n}}", string.format("%02d%08d", number, count)))
    end
    return
  end
  -- Each product has at most one running request; the response puts it back into the queue.
  local queue, first, last, texts = {}, 1, 0, {}
  for _, text in ipairs(all) do
    local id, version, rest = text:match("^(%S+) (%d+) (.*)$")
    texts[id] = rest
    last = last + 1
    queue[last] = { id, version }
  end
  function request()
    local id, version = unpack(queue[first])
    queue[first] = nil
    first = first + 1
    return (texts[id]:gsub("{{version}}", version))
  end
  function response(status, headers, body)
    local id, version = body:match('"id":%s*"([^"]+)"'), body:match('"version":%s*(%d+)')
    if id then
      last = last + 1
      queue[last] = { id, version }
    end
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
