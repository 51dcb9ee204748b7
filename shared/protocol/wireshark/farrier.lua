-- Wireshark dissector of the cleartext fields of the Farrier agent protocol. The
-- layout is that of shared/protocol/src/wire.rs. It shows sealed parts as bytes.
--
-- Try it: wireshark -X lua_script:farrier.lua capture.pcap
-- Another port: Edit > Preferences > Protocols > FARRIER, or "Decode As".

local farrier = Proto("farrier", "Farrier agent protocol")

local KINDS = {
    [1] = "Handshake init",
    [2] = "Handshake response",
    [3] = "Request",
    [4] = "Reply",
    [5] = "Handshake refused (hint)",
    [6] = "Session unknown (hint)",
}

local REASONS = {
    [0] = "Ticket unknown",
    [1] = "Ticket used",
    [2] = "Version",
    [3] = "Busy",
}

local TAG_LEN = 16

local f = farrier.fields
f.kind = ProtoField.uint8("farrier.kind", "Kind", base.DEC, KINDS)
f.ticket = ProtoField.bytes("farrier.ticket", "Ticket id")
f.gate = ProtoField.bytes("farrier.gate", "Gate MAC")
f.ephemeral = ProtoField.bytes("farrier.noise.e", "Noise ephemeral key")
f.static = ProtoField.bytes("farrier.noise.s", "Noise static key (encrypted)")
f.payload = ProtoField.bytes("farrier.noise.payload", "Noise payload (encrypted)")
f.session = ProtoField.uint32("farrier.session", "Session", base.HEX)
f.counter = ProtoField.uint64("farrier.counter", "Request counter", base.DEC)
f.number = ProtoField.uint64("farrier.number", "Reply number", base.DEC)
f.sealed = ProtoField.bytes("farrier.sealed", "Sealed message")
f.tag = ProtoField.bytes("farrier.tag", "Tag")
f.reason = ProtoField.uint8("farrier.reason", "Reason", base.DEC, REASONS)

local short = ProtoExpert.new(
    "farrier.short", "Datagram shorter than its kind", expert.group.MALFORMED, expert.severity.ERROR)
farrier.experts = { short }

farrier.prefs.port = Pref.uint("UDP port", 8470, "The appliance's port for agents; 0 for none")

-- The fields behind the kind: { field, length, little-endian }. A length of 0
-- means the rest without the tag.
local LAYOUT = {
    [1] = { { f.ticket, 8 }, { f.gate, 16 }, { f.ephemeral, 32 }, { f.static, 48 }, { f.payload, 0 } },
    [2] = { { f.session, 4, true }, { f.ephemeral, 32 }, { f.payload, 0 } },
    [3] = { { f.session, 4, true }, { f.counter, 8, true }, { f.sealed, 0 } },
    [4] = { { f.session, 4, true }, { f.counter, 8, true }, { f.number, 8, true }, { f.sealed, 0 } },
    [5] = { { f.ticket, 8 }, { f.reason, 1 } },
    [6] = { { f.session, 4, true }, { f.counter, 8, true } },
}

function farrier.dissector(buffer, pinfo, tree)
    if buffer:len() < 1 then
        return 0
    end
    local kind = buffer(0, 1):uint()
    local layout = LAYOUT[kind]
    if layout == nil then
        return 0
    end
    pinfo.cols.protocol = "FARRIER"
    pinfo.cols.info = KINDS[kind]

    local subtree = tree:add(farrier, buffer(), "Farrier: " .. KINDS[kind])
    subtree:add(f.kind, buffer(0, 1))
    local at = 1
    for _, part in ipairs(layout) do
        local field, len, little = part[1], part[2], part[3]
        local left = buffer:len() - at
        if len == 0 then
            len = left - TAG_LEN
        end
        if len < 0 or len > left then
            subtree:add_proto_expert_info(short)
            return buffer:len()
        end
        if len > 0 then
            if little then
                subtree:add_le(field, buffer(at, len))
            else
                subtree:add(field, buffer(at, len))
            end
        end
        if field == f.session then
            pinfo.cols.info:append(string.format(" session %08x", buffer(at, 4):le_uint()))
        elseif field == f.counter then
            pinfo.cols.info:append(" counter " .. buffer(at, 8):le_uint64():tonumber())
        end
        at = at + len
        if part[2] == 0 then
            subtree:add(f.tag, buffer(at, TAG_LEN))
            at = at + TAG_LEN
        end
    end
    return buffer:len()
end

local registered = 0
local function register()
    local udp = DissectorTable.get("udp.port")
    if registered ~= 0 then
        udp:remove(registered, farrier)
    end
    registered = farrier.prefs.port
    if registered ~= 0 then
        udp:add(registered, farrier)
    end
end

farrier.prefs_changed = register
register()
