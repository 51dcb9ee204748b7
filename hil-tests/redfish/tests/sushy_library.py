"""Judges the service by sushy, the library that Ironic uses.

Arguments: the service's URL, the user, the password, the model's name.
"""

import sys
import time

import sushy
from sushy import auth, exceptions, taskmonitor

url, user, password, model = sys.argv[1:]


def expect(found, wanted):
    if found != wanted:
        raise SystemExit(f"{model}: {found!r} is not {wanted!r}")


def wait(condition, what):
    until = time.monotonic() + 20
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"{model}: {what} does not come")
        time.sleep(0.1)


# Session or Basic, whichever the library prefers.
root = sushy.Sushy(url, auth=auth.SessionOrBasicAuth(user, password))
systems = root.get_system_collection().get_members()
expect(len(systems), 1)
system = root.get_system()
expect(system.uuid, "c3b1f2de-0f5a-4d3e-9b6a-2f6f2f0e8a11")
expect(system.power_state, sushy.PowerState.OFF)
expect(system.status.health, sushy.Health.OK)

# Power.
allowed = system.get_allowed_reset_system_values()
expect(sushy.ResetType.ON in allowed, True)
expect(sushy.ResetType.POWER_CYCLE in allowed, False)
if model == "modern":
    # The answer to a reset is a task. (The library's own wait() fails on each
    # Retry-After that is a number.)
    target = system._get_reset_action_element().target_uri
    response = system._conn.post(target, data={"ResetType": "On"})
    expect(response.status_code, 202)
    monitor = taskmonitor.TaskMonitor(system._conn, response.headers["Location"])
    expect(monitor.is_processing, True)
    expect(monitor.task.task_state, sushy.TaskState.RUNNING)
    wait(lambda: not monitor.check_is_processing, "the task's end")
    expect(monitor.response.status_code, 204)
else:
    system.reset_system(sushy.ResetType.ON)


def power_is(wanted):
    system.refresh(force=True)
    return system.power_state == wanted


wait(lambda: power_is(sushy.PowerState.ON), "power")
system.reset_system(sushy.ResetType.FORCE_OFF)
wait(lambda: power_is(sushy.PowerState.OFF), "no power")

# Boot override, with the ETag where there is one.
mode = sushy.BootSourceOverrideMode.UEFI if model == "supermicro" else None
for target, enabled in [
    (sushy.BootSource.PXE, sushy.BootSourceOverrideEnabled.ONCE),
    (sushy.BootSource.HDD, sushy.BootSourceOverrideEnabled.CONTINUOUS),
]:
    system.refresh(force=True)
    system.set_system_boot_options(target=target, enabled=enabled, mode=mode)
    system.refresh(force=True)
    expect(system.boot.target, target)
    expect(system.boot.enabled, enabled)
    expect(system.boot.mode, sushy.BootSourceOverrideMode.UEFI)
expect(system.boot.allowed_values is not None, True)
if model in ("standard", "modern"):
    uri = "http://10.0.0.1/boot.efi"
    system.set_system_boot_options(
        target=sushy.BootSource.UEFI_HTTP,
        enabled=sushy.BootSourceOverrideEnabled.ONCE,
        http_boot_uri=uri,
    )
    system.refresh(force=True)
    expect(system.boot.http_boot_uri, uri)
    # An ETag of before is refused.
    old = system._get_etag()
    system.set_system_boot_options(enabled=sushy.BootSourceOverrideEnabled.DISABLED)
    boot = {"Boot": {"BootSourceOverrideEnabled": "Once"}}
    try:
        system._conn._op("PATCH", system.path, data=boot, headers={"If-Match": old})
    except exceptions.HTTPError as error:
        expect(error.status_code, 412)
    else:
        raise SystemExit("an old ETag was taken")

# An error has a code that the library understands.
try:
    system._conn.post(
        system._get_reset_action_element().target_uri, data={"ResetType": "Fly"}
    )
except exceptions.BadRequestError as error:
    expect("No such ResetType" in error.detail, True)
else:
    raise SystemExit("a wrong reset was taken")

# BIOS attributes are pending, and there at the next boot.
expect(system.bios.attributes["ProcVirtualization"], "Enabled")
if model == "dell":
    system.bios.set_attribute(
        "ProcVirtualization", "Disabled", apply_time=sushy.ApplyTime.ON_RESET
    )
else:
    system.bios.set_attribute("ProcVirtualization", "Disabled")
system.bios.refresh(force=True)
expect(system.bios.attributes["ProcVirtualization"], "Enabled")
expect(system.bios.pending_attributes["ProcVirtualization"], "Disabled")
system.reset_system(sushy.ResetType.ON)
system.bios.refresh(force=True)
expect(system.bios.attributes["ProcVirtualization"], "Disabled")

# Secure Boot.
system.secure_boot.set_enabled(True)
system.secure_boot.refresh(force=True)
expect(system.secure_boot.enabled, True)

# Virtual media.
owner = system if model in ("standard", "modern") else system.managers[0]
drives = owner.virtual_media.get_members()
drive = next(d for d in drives if sushy.VirtualMediaType.CD in d.media_types)
expect(drive.inserted, False)
drive.insert_media("http://10.0.0.1/rescue.iso")
drive.refresh(force=True)
expect((drive.inserted, drive.image), (True, "http://10.0.0.1/rescue.iso"))
drive.eject_media()
drive.refresh(force=True)
expect(drive.inserted, False)

# Sensors.
chassis = system.chassis[0]
if model in ("standard", "hpe", "supermicro", "ami"):
    expect(chassis.thermal.temperatures[0].reading_celsius, 41.5)

# Sessions.
session = auth.SessionAuth(user, password)
other = sushy.Sushy(url, auth=session)
expect(other.get_system().power_state is not None, True)
session.close()
try:
    sushy.Sushy(url, auth=auth.BasicAuth(user, "wrong")).get_system()
except exceptions.AccessError:
    pass
else:
    raise SystemExit("a wrong password was taken")
print(f"{model}: all as sushy expects")
