-- Sends a file with LuaSocket. usage: PORT SENDER FILE RECIPIENT...
local smtp = require("socket.smtp")
local ltn12 = require("ltn12")

local recipients = {}
for index = 4, #arg do
    recipients[#recipients + 1] = "<" .. arg[index] .. ">"
end
local file = io.open(arg[3], "rb")
local content = file:read("a")
file:close()
-- A source of octets: smtp.message() would add headers of its own. It adds a line end to the last line.
local sent, reason = smtp.send {
    from = "<" .. arg[2] .. ">",
    rcpt = recipients,
    source = ltn12.source.string(content:sub(1, -3)),
    server = "127.0.0.1",
    port = tonumber(arg[1]),
    domain = "client.test",
}
if not sent then
    io.stderr:write(reason, "\n")
    os.exit(1)
end
