"""A change of a port by ncclient, the reference client, on the model server.

Arguments: the server's Unix socket and its dialect, junos or openconfig.
"""

import sys

from ncclient import manager
from ncclient.operations.rpc import RPCError

PATH, DIALECT = sys.argv[1:]
JUNOS = "http://xml.juniper.net/xnm/1.1/xnm"
OPENCONFIG = "http://openconfig.net/yang/interfaces"


def connect():
    return manager.connect_uds(path=PATH, timeout=10)


def edit(vlan):
    if DIALECT == "junos":
        return f"""<config xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0">
          <configuration xmlns="{JUNOS}"><interfaces><interface>
          <name>ge-0/0/7</name><unit><name>0</name><family><ethernet-switching>
          <vlan nc:operation="replace"><members>{vlan}</members></vlan>
          </ethernet-switching></family></unit></interface></interfaces>
          </configuration></config>"""
    return f"""<config xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0">
      <interfaces xmlns="{OPENCONFIG}"><interface><name>ge-0/0/7</name>
      <ethernet xmlns="http://openconfig.net/yang/interfaces/ethernet">
      <switched-vlan xmlns="http://openconfig.net/yang/vlan">
      <config nc:operation="replace"><interface-mode>ACCESS</interface-mode>
      <access-vlan>{vlan}</access-vlan></config></switched-vlan></ethernet>
      </interface></interfaces></config>"""


def port(client, source="running"):
    """The VLAN of the port in a configuration."""
    if DIALECT == "junos":
        inner = "<interfaces><interface><name>ge-0/0/7</name></interface></interfaces>"
        content = f'<configuration xmlns="{JUNOS}">{inner}</configuration>'
        names = ["members"]
    else:
        inner = "<interface><name>ge-0/0/7</name></interface>"
        content = f'<interfaces xmlns="{OPENCONFIG}">{inner}</interfaces>'
        names = ["access-vlan"]
    reply = client.get_config(source, filter=("subtree", content))
    found = [e.text for e in reply.data_ele.iter() if str(e.tag).split("}")[-1] in names]
    assert len(found) == 1, reply
    return int(found[0])


def refused(call, tag):
    try:
        call()
    except RPCError as error:
        assert error.tag == tag, error.tag
        return error
    raise AssertionError(f"{tag} was expected")


first, second = connect(), connect()
assert ":candidate" in first.server_capabilities
assert ":confirmed-commit:1.1" in first.server_capabilities
assert port(first) == 10

# One lock, and its holder is named.
first.lock("candidate")
error = refused(lambda: second.lock("candidate"), "lock-denied")
assert first.session_id in error.info, error.info

# A confirmed commit with a persist-id outlives its session.
first.edit_config(edit(20), target="candidate")
assert port(second) == 10
first.validate("candidate")
first.commit(confirmed=True, timeout="60", persist="secret")
assert port(second) == 20
first.close_session()
assert port(second) == 20
refused(lambda: second.commit(), "invalid-value")
refused(lambda: second.cancel_commit(persist_id="wrong"), "invalid-value")
second.cancel_commit(persist_id="secret")
assert port(second) == 10

# Without one it is taken back with its session.
third = connect()
with third.locked("candidate"):
    third.edit_config(edit(30), target="candidate")
    third.commit(confirmed=True, timeout="60")
assert port(second) == 30
third.close_session()
assert port(second) == 10

# Confirmed, discarded, refused.
with second.locked("candidate"):
    second.edit_config(edit(20), target="candidate")
    second.commit()
    second.edit_config(edit(30), target="candidate")
    assert (port(second, "candidate"), port(second)) == (30, 20)
    assert "ge-0/0/8" in second.get_config("running").xml
    second.discard_changes()
    second.commit()
assert port(second) == 20
refused(lambda: second.edit_config(edit(20).replace("0/7", "0/99"), target="candidate"), "bad-element")
second.close_session()
