use super::*;
use crate::message;
use crate::message::{AgentStep, EraseMethod, Reason};
use heapless::String;
use std::vec::Vec;

fn text<const N: usize>() -> String<N> {
    core::iter::repeat_n('x', N).collect()
}

/// An inspection of which every text and list is as long as it may be.
fn longest() -> message::Statement {
    let disk = |n: u8| message::Disk {
        id: message::DiskId {
            serial: text(),
            size: u64::MAX - u64::from(n),
        },
        name: text(),
        model: text(),
        vendor: text(),
        wwn: text(),
        hctl: text(),
        by_path: text(),
        rotational: true,
        block_size: 4096,
        erase: EraseAbilities::default(),
    };
    let nic = |n: u8| message::Nic {
        name: text(),
        mac: Mac([n; 6]),
        driver: text(),
        speed_mbps: u32::MAX,
        carrier: true,
        ipv4: [255; 4],
        pci: [u16::MAX; 2],
        lldp: Some(message::LldpNeighbour {
            chassis: text(),
            port: text(),
        }),
    };
    let skipped = |n: u8| message::SkippedDevice {
        id: text(),
        name: text(),
        size: u64::MAX - u64::from(n),
        reason: SkipReason::Path,
    };
    let controller = |_: u8| message::Controller {
        id: text(),
        kind: text(),
    };
    message::Statement {
        node: NodeId([1; 16]),
        boot: BootId(2),
        counter: 3,
        order: 4,
        report: message::Report::Inspection(message::Inspection {
            vendor: text(),
            product: text(),
            serial: text(),
            system_uuid: [5; 16],
            firmware: text(),
            boot_mode: BootMode::Uefi,
            cpu: message::Cpu {
                count: 6,
                model: text(),
                architecture: text(),
                mhz: u32::MAX,
            },
            memory_mib: 7,
            physical_memory_mib: 8,
            disks: (0..64).map(disk).collect(),
            nics: (0..16).map(nic).collect(),
            tpm2: true,
            skipped: (0..64).map(skipped).collect(),
            controllers: (0..16).map(controller).collect(),
            unlisted: u16::MAX,
            settled: true,
        }),
    }
}

#[test]
fn longest_inspection_decodes_without_a_loss() {
    let whole = longest();
    let mut room = [0; 2 * crate::MAX_STATEMENT];
    let length = postcard::to_slice(&whole, &mut room).unwrap().len();
    let bytes = &room[..length];
    let read = Statement::decode(bytes).unwrap();
    assert_eq!((read.node, read.boot), (whole.node, whole.boot));
    assert_eq!((read.counter, read.order), (3, 4));
    let signed = &room[..length + crate::signing::SIGNATURE_LEN];
    let borrowed = Inspection::read(signed).unwrap();
    let (Report::Inspection(read), message::Report::Inspection(whole)) =
        (read.report, whole.report)
    else {
        panic!("the report is an inspection");
    };
    assert_eq!(read, borrowed);
    assert_eq!((borrowed.disks.len(), borrowed.nics.len()), (64, 16));
    let architecture = &*borrowed.server.cpu.architecture;
    assert_eq!(architecture, whole.cpu.architecture);
    assert_eq!((borrowed.unlisted, borrowed.settled), (u16::MAX, true));
    assert_eq!(borrowed.controllers.iter().count(), 16);
    let seen = borrowed.skipped.get(63).unwrap();
    assert_eq!((seen.size, seen.reason), (u64::MAX - 63, SkipReason::Path));
    assert!(seen.name.len() == 16 && borrowed.skipped.get(64).is_none());
    for (disk, seen) in whole.disks.iter().zip(borrowed.disks.iter()) {
        assert_eq!(
            (&*seen.by_path, &*seen.id.serial, seen.id.size),
            (&*disk.by_path, &*disk.id.serial, disk.id.size)
        );
    }
    for (nic, seen) in whole.nics.iter().zip(borrowed.nics.iter()) {
        assert_eq!((nic.mac, &*nic.driver), (seen.mac, &*seen.driver));
        let port = |port: &str| port.len();
        assert_eq!(
            nic.lldp.as_ref().map(|l| port(&l.port)),
            seen.lldp.as_ref().map(|l| port(&l.port))
        );
    }
    assert!(size_of::<Statement<'_>>() < 320);
}

/// A statement of each report, the inspection with few and short values.
fn one_of_each() -> Vec<message::Statement> {
    let message::Report::Inspection(mut inspection) = longest().report else {
        panic!("the report is an inspection");
    };
    inspection.disks.truncate(2);
    inspection.nics.truncate(2);
    inspection.skipped.truncate(1);
    inspection.controllers.truncate(1);
    inspection.nics[0].lldp = None;
    let disk = message::DiskId {
        serial: text(),
        size: 9,
    };
    let reports = [
        message::Report::Inspection(inspection),
        message::Report::Erased(EraseCertificate {
            disk: disk.clone(),
            method: EraseMethod::Overwrite,
            verified_bytes: 1,
            repaired_bytes: 2,
            millis: 3,
        }),
        message::Report::ImageWritten(ImageProof {
            disk,
            manifest_root: [1; 32],
            image_bytes: 2,
            fetched_bytes: 3,
            refetched_chunks: 4,
            config_drive: [5; 32],
            peak_rss_kib: 6,
            millis: 7,
        }),
        message::Report::Failure(Failure {
            step: AgentStep::Erase,
            reason: Reason::NotErased,
            text: text(),
        }),
        message::Report::Done,
    ];
    let statement = |report| message::Statement {
        node: NodeId([1; 16]),
        boot: BootId(2),
        counter: 3,
        order: 4,
        report,
    };
    reports.into_iter().map(statement).collect()
}

/// Whether the bytes are a statement and nothing else for the other decoder.
fn is_whole(bytes: &[u8]) -> bool {
    matches!(
        postcard::take_from_bytes::<message::Statement>(bytes),
        Ok((_, []))
    )
}

#[test]
fn each_report_decodes_as_by_value() {
    let mut room = [0; crate::MAX_STATEMENT];
    for whole in one_of_each() {
        let bytes = &*postcard::to_slice(&whole, &mut room).unwrap();
        let read = Statement::decode(bytes).unwrap();
        assert_eq!((read.node, read.boot), (whole.node, whole.boot));
        assert_eq!((read.counter, read.order), (whole.counter, whole.order));
        match (whole.report, read.report) {
            (message::Report::Inspection(_), Report::Inspection(_))
            | (message::Report::Done, Report::Done) => {}
            (message::Report::Erased(said), Report::Erased(read)) => assert_eq!(said, read),
            (message::Report::ImageWritten(said), Report::ImageWritten(read)) => {
                assert_eq!(said, read);
            }
            (message::Report::Failure(said), Report::Failure(read)) => assert_eq!(said, read),
            (said, read) => panic!("{said:?} was read as {read:?}"),
        }
    }
}

#[test]
fn damaged_statements_are_refused_as_by_value() {
    let mut room = [0; crate::MAX_STATEMENT];
    let mut refused = 0;
    for whole in one_of_each() {
        let len = postcard::to_slice(&whole, &mut room).unwrap().len();
        for shorter in 0..len {
            assert_eq!(Statement::decode(&room[..shorter]), None);
        }
        room[len] = 0;
        assert_eq!(Statement::decode(&room[..=len]), None, "a byte behind it");
        for place in 0..len {
            let good = room[place];
            // A length, a character that is none, a number in two bytes.
            for bad in [
                good.wrapping_add(1),
                good.wrapping_sub(1),
                0xff,
                good ^ 0x80,
            ] {
                room[place] = bad;
                let bytes = &room[..len];
                let read = Statement::decode(bytes).is_some();
                assert_eq!(read, is_whole(bytes), "byte {place} was {good}, is {bad}");
                refused += usize::from(!read);
            }
            room[place] = good;
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn lists_and_texts_beyond_their_bounds_fail() {
    let mut room = [0; 256];
    // 17 controllers without texts.
    room[0] = 17;
    assert!(List::<Controller<'_>>::take(&room, 17).is_some());
    assert!(List::<Controller<'_>>::take(&room, 16).is_none());
    let bytes = postcard::to_slice("four", &mut room).unwrap();
    assert!(postcard::from_bytes::<Text<'_, 4>>(bytes).is_ok());
    assert!(postcard::from_bytes::<Text<'_, 3>>(bytes).is_err());
}
