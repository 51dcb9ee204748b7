"""Moves a port of the virtual switch by ncclient, the reference client, over SSH.

Arguments: port on localhost, user, password, file with a private key, the
server's host key in base64, another host key in base64.
"""

import sys
import time

from ncclient import manager
from ncclient.operations.rpc import RPCError
from ncclient.transport.errors import AuthenticationError, SSHUnknownHostError

PORT, USER, PASSWORD, KEY, HOST_KEY, OTHER_KEY = sys.argv[1:]
OPENCONFIG = "http://openconfig.net/yang/interfaces"


def connect(**how):
    return manager.connect(
        host="127.0.0.1", port=int(PORT), username=USER, timeout=20,
        allow_agent=False, look_for_keys=False, **{"hostkey_b64": HOST_KEY, **how},
    )


def edit(vlan):
    return f"""<config xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0">
      <interfaces xmlns="{OPENCONFIG}"><interface><name>s1</name>
      <ethernet xmlns="http://openconfig.net/yang/interfaces/ethernet">
      <switched-vlan xmlns="http://openconfig.net/yang/vlan">
      <config nc:operation="replace"><interface-mode>ACCESS</interface-mode>
      <access-vlan>{vlan}</access-vlan></config></switched-vlan></ethernet>
      </interface></interfaces></config>"""


def port(client):
    """The VLAN of the port in the running configuration."""
    content = f'<interfaces xmlns="{OPENCONFIG}"><interface><name>s1</name></interface></interfaces>'
    reply = client.get_config("running", filter=("subtree", content))
    found = [e.text for e in reply.data_ele.iter() if str(e.tag).endswith("}access-vlan")]
    assert len(found) == 1, reply
    return int(found[0])


def refused(call, error):
    try:
        call()
    except error:
        return
    raise AssertionError(f"{error} was expected")


refused(lambda: connect(password="wrong"), AuthenticationError)
refused(lambda: connect(password=PASSWORD, hostkey_b64=OTHER_KEY), SSHUnknownHostError)

# A confirmed commit outlives its session, and another one confirms it.
first = connect(password=PASSWORD)
assert ":candidate" in first.server_capabilities
assert ":confirmed-commit:1.1" in first.server_capabilities
assert port(first) == 10
with first.locked("candidate"):
    first.edit_config(edit(20), target="candidate")
    first.validate("candidate")
    first.commit(confirmed=True, timeout="60", persist="secret")
assert port(first) == 20
first.close_session()
second = connect(key_filename=KEY)
assert port(second) == 20
refused(second.commit, RPCError)
second.commit(persist_id="secret")

# Without a persist-id it is taken back with its session, …
third = connect(key_filename=KEY)
third.edit_config(edit(30), target="candidate")
third.commit(confirmed=True, timeout="60")
assert port(second) == 30
third.close_session()
assert port(second) == 20

# … and by time.
second.edit_config(edit(30), target="candidate")
second.commit(confirmed=True, timeout="1")
assert port(second) == 30
time.sleep(2)
assert port(second) == 20
second.close_session()
