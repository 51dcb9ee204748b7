//! `/v1/nodes/{node}/inventory`: a node's hardware, out of the signed report
//! of its last inspection.

use crate::ident::MacText;
use crate::reply::{Cursor, Stage};
use crate::resource::{Ask, Call, Out, Route};
use crate::resources::nodes::boot_mode;
use crate::{Error, View};
use core::net::Ipv4Addr;
use farrier_http::Status;
use farrier_protocol::borrowed::{Disk, Inspection, Nic, SkippedDevice};

pub(crate) const ROUTES: &[Route] = &[Route::read("/v1/nodes/{node}/inventory", show)
    .check(check)
    .of_statement()];

fn check(view: &View<'_>, call: &Call) -> Result<(), Error> {
    match view.node(call) {
        Some((_, node)) if node.hardware.statement_len == 0 => Err(Error::new(
            Status::NOT_FOUND,
            format_args!(
                "Node {} has no inventory yet: inspect it.",
                call.parameter(0)
            ),
        )),
        _ => Ok(()),
    }
}

/// Interfaces are the first list, disks the second; then come the block devices that
/// are no disks, and storage without a driver. `at.item` counts each, and `at.shown`
/// the lists behind the interfaces. The signature of the statement was verified when
/// it was taken in.
fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let Some(found) = &Inspection::read(ask.statement) else {
        w.object().key("inventory").null();
        w.key("plugin_data").object().end_object().end_object();
        at.end();
        return;
    };
    match at.stage {
        Stage::Head => {
            match at.part {
                0 => machine(found, w),
                1 => cpu(found, w),
                2 => {
                    w.key("system_vendor").object();
                    w.key("manufacturer").string_or_null(&found.server.vendor);
                    w.key("product_name").string_or_null(&found.server.product);
                }
                3 => {
                    w.key("serial_number").string_or_null(&found.server.serial);
                    w.key("firmware").object();
                    w.key("version").string_or_null(&found.server.firmware);
                    w.key("vendor").null().key("build_date").null();
                    w.end_object().end_object();
                }
                _ => {
                    w.key("interfaces").array();
                    at.stage = Stage::Seek;
                }
            }
            at.part += 1;
        }
        Stage::Seek => match found.nics.get(at.item) {
            Some(nic) => {
                interface(&nic, w);
                at.item += 1;
            }
            None => {
                w.end_array().key("disks").array();
                at.item = 0;
                at.part = 0;
                at.stage = Stage::Item;
            }
        },
        Stage::Item => {
            let next = match at.shown {
                0 => found.disks.get(at.item).map(|disk| {
                    if at.part == 0 {
                        disk_identity(&disk, w);
                    } else {
                        disk_place(&disk, w);
                    }
                    at.part == 1
                }),
                1 => found.skipped.get(at.item).map(|device| {
                    skipped(&device, w);
                    true
                }),
                _ => found.controllers.get(at.item).map(|controller| {
                    w.object().key("device").string(&controller.id);
                    w.key("kind").string(&controller.kind).end_object();
                    true
                }),
            };
            match next {
                Some(false) => at.part += 1,
                Some(true) => (at.item, at.part) = (at.item + 1, 0),
                None => {
                    w.end_array();
                    at.shown += 1;
                    (at.item, at.part) = (0, 0);
                    match at.shown {
                        1 => _ = w.key("skipped_devices").array(),
                        2 => _ = w.key("controllers_without_driver").array(),
                        _ => at.stage = Stage::Tail,
                    }
                }
            }
        }
        Stage::Tail | Stage::End => {
            w.key("unlisted_devices").number(found.unlisted);
            w.key("devices_settled").bool(found.settled).end_object();
            w.key("plugin_data").object().end_object().end_object();
            at.end();
        }
    }
}

fn machine(found: &Inspection<'_>, w: &mut Out<'_>) {
    w.object().key("inventory").object();
    w.key("memory").object();
    w.key("total").number(u64::from(found.server.memory_mib) << 20);
    let physical = match found.server.physical_memory_mib {
        0 => found.server.memory_mib,
        known => known,
    };
    w.key("physical_mb").number(physical).end_object();
    w.key("boot").object();
    w.key("current_boot_mode")
        .string(boot_mode(found.server.boot_mode));
    w.key("pxe_interface").null().end_object();
    w.key("hostname").null();
    w.key("bmc_address").null().key("bmc_v6address").null();
    w.key("tpm2").bool(found.tpm2);
}

fn cpu(found: &Inspection<'_>, w: &mut Out<'_>) {
    w.key("cpu").object();
    w.key("model_name").string_or_null(&found.server.cpu.model);
    w.key("architecture").string(&found.server.cpu.architecture);
    w.key("count").number(found.server.cpu.count);
    w.key("frequency");
    match found.server.cpu.mhz {
        0 => w.null(),
        // As the agent of Ironic does: a string.
        mhz => w.text(mhz),
    };
    w.key("flags").array().end_array().end_object();
}

fn interface(nic: &Nic<'_>, w: &mut Out<'_>) {
    w.object().key("name").string(&nic.name);
    w.key("mac_address").text(MacText(nic.mac));
    w.key("ipv4_address");
    match Ipv4Addr::from(nic.ipv4) {
        Ipv4Addr::UNSPECIFIED => w.null(),
        address => w.text(address),
    };
    w.key("ipv6_address").null();
    w.key("has_carrier").bool(nic.carrier);
    let [vendor, product] = nic.pci;
    for (key, id) in [("vendor", vendor), ("product", product)] {
        w.key(key);
        match id {
            0 => w.null(),
            id => w.text(format_args!("{id:#06x}")),
        };
    }
    w.key("driver").string_or_null(&nic.driver);
    w.key("speed_mbps");
    match nic.speed_mbps {
        0 => w.null(),
        speed => w.number(speed),
    };
    w.key("biosdevname").null().key("client_id").null();
    // Ironic shows raw TLVs here; what the agent keeps of them is in the
    // keys behind it.
    w.key("lldp").null();
    if let Some(neighbour) = &nic.lldp {
        w.key("lldp_chassis").string(&neighbour.chassis);
        w.key("lldp_port").string(&neighbour.port);
    }
    w.end_object();
}

fn skipped(device: &SkippedDevice<'_>, w: &mut Out<'_>) {
    w.object();
    w.key("name").text(format_args!("/dev/{}", device.name));
    w.key("device").string(&device.id);
    w.key("size").number(device.size);
    w.key("reason").string(device.reason.as_str());
    w.key("unproven").bool(device.reason.is_unproven());
    w.end_object();
}

fn disk_identity(disk: &Disk<'_>, w: &mut Out<'_>) {
    w.object();
    w.key("name").text(format_args!("/dev/{}", disk.name));
    w.key("model").string_or_null(&disk.model);
    w.key("vendor").string_or_null(&disk.vendor);
    w.key("serial").string_or_null(&disk.id.serial);
    w.key("size").number(disk.id.size);
    w.key("rotational").bool(disk.rotational);
}

fn disk_place(disk: &Disk<'_>, w: &mut Out<'_>) {
    w.key("wwn").string_or_null(&disk.wwn);
    w.key("wwn_with_extension").null();
    w.key("wwn_vendor_extension").null();
    w.key("hctl").string_or_null(&disk.hctl);
    w.key("by_path").string_or_null(&disk.by_path);
    w.key("logical_sectors").number(disk.block_size);
    w.end_object();
}
