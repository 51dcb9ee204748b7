//! Erases disks that work, that acknowledge commands without effect, and that
//! fail.

mod support;

use std::sync::Mutex;

use farrier_agent::operations::Meter;
use farrier_agent::operations::erase::{EraseJob, erase_all};
use farrier_agent::operations::reread::reread_all;
use farrier_protocol::marks::Marks;
use farrier_protocol::message::{
    AgentStep, DiskId, EraseAbilities, EraseCertificate, EraseMethod, Failure, Reason,
};
use support::disk::{FakeDisk, Faults};
use support::noise;

const SIZE: usize = 9 << 20;
const SEED: [u8; 32] = [4; 32];
const ALL: EraseAbilities = EraseAbilities {
    discard: true,
    write_zeroes: true,
};

fn dirty(faults: Faults) -> FakeDisk {
    FakeDisk::new(noise(1, SIZE), 512, faults)
}

fn job(serial: &str, disk: &FakeDisk) -> EraseJob<FakeDisk> {
    EraseJob {
        id: DiskId {
            serial: serial.try_into().unwrap(),
            size: SIZE as u64,
        },
        abilities: ALL,
        device: disk.clone(),
    }
}

fn erase(disks: &[&FakeDisk], least: EraseMethod) -> (Vec<EraseCertificate>, Vec<Failure>) {
    let certificates = Mutex::new(Vec::new());
    let meter = Meter::new(AgentStep::Erase);
    let jobs = disks
        .iter()
        .enumerate()
        .map(|(index, disk)| job(&format!("D{index}"), disk))
        .collect();
    let failures = erase_all(jobs, least, &SEED, &meter, &|certificate| {
        certificates.lock().unwrap().push(certificate);
    });
    if failures.is_empty() {
        let (done, total) = meter.progress();
        let bytes: usize = disks.iter().map(|disk| disk.bytes().len()).sum();
        assert_eq!((done, total), (total, bytes as u64 * 2));
    }
    (certificates.into_inner().unwrap(), failures)
}

fn is_empty(disk: &FakeDisk) -> bool {
    disk.bytes().iter().all(|&byte| byte == 0)
}

#[test]
fn every_method_erases_the_disk() {
    for least in [
        EraseMethod::Discard,
        EraseMethod::WriteZeroes,
        EraseMethod::Overwrite,
    ] {
        let disk = dirty(Faults::default());
        let (certificates, failures) = erase(&[&disk], least);
        assert_eq!(failures, []);
        assert_eq!(certificates[0].method, least);
        assert_eq!(certificates[0].verified_bytes, SIZE as u64);
        assert_eq!(certificates[0].repaired_bytes, 0);
        assert!(is_empty(&disk));
    }
}

#[test]
fn disk_that_ignores_commands_is_overwritten_and_certified_as_repaired() {
    let disk = dirty(Faults {
        ignores_discard: true,
        ignores_zeroes: true,
        ..Faults::default()
    });
    let (certificates, failures) = erase(&[&disk], EraseMethod::Discard);
    assert_eq!(failures, []);
    assert_eq!(certificates[0].method, EraseMethod::Overwrite);
    assert!(certificates[0].repaired_bytes > SIZE as u64 / 2);
    assert!(is_empty(&disk));
}

#[test]
fn disk_without_erase_commands_is_overwritten() {
    let disk = dirty(Faults {
        no_discard: true,
        no_zeroes: true,
        ..Faults::default()
    });
    let (certificates, _) = erase(&[&disk], EraseMethod::Discard);
    assert_eq!(certificates[0].method, EraseMethod::Overwrite);
    assert_eq!(certificates[0].repaired_bytes, 0);
    assert!(is_empty(&disk));
}

#[test]
fn scattered_remains_are_repaired() {
    // Every second block is dirty, and discards do nothing.
    let mut bytes = vec![0; SIZE];
    for block in bytes.chunks_mut(512).skip(1000).step_by(2).take(3000) {
        block[511] = 1;
    }
    let disk = FakeDisk::new(
        bytes,
        512,
        Faults {
            ignores_discard: true,
            ..Faults::default()
        },
    );
    let (certificates, failures) = erase(&[&disk], EraseMethod::Discard);
    assert_eq!(failures, []);
    // With the marks, it is simpler to overwrite all.
    assert_eq!(certificates[0].method, EraseMethod::Overwrite);
    assert!(certificates[0].repaired_bytes >= 3000 * 512);
    assert!(is_empty(&disk));
    assert!(disk.writes() < 300, "{}", disk.writes());
}

#[test]
fn failure_names_the_disk_and_other_disks_are_erased() {
    for (faults, reason) in [
        (
            Faults {
                stuck: Some(5 << 20..(5 << 20) + 512),
                ..Faults::default()
            },
            Reason::NotErased,
        ),
        (
            Faults {
                unreadable: Some(7 << 20),
                ..Faults::default()
            },
            Reason::DiskRead,
        ),
        (
            Faults {
                unwritable: Some(100),
                ..Faults::default()
            },
            Reason::DiskWrite,
        ),
    ] {
        let (bad, good) = (dirty(faults), dirty(Faults::default()));
        let (certificates, failures) = erase(&[&bad, &good], EraseMethod::Discard);
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].reason, reason, "{failures:?}");
        assert!(failures[0].text.contains("D0"));
        assert_eq!(certificates.len(), 1);
        assert!(is_empty(&good));
    }
}

#[test]
fn every_failed_disk_is_returned_in_order() {
    let unreadable = dirty(Faults {
        unreadable: Some(7 << 20),
        ..Faults::default()
    });
    let good = dirty(Faults::default());
    let unwritable = dirty(Faults {
        unwritable: Some(100),
        ..Faults::default()
    });
    let disks = [&unreadable, &good, &unwritable];
    let (certificates, failures) = erase(&disks, EraseMethod::Discard);
    let found: Vec<_> = failures
        .iter()
        .map(|failure| (failure.reason, failure.text.contains("D2")))
        .collect();
    assert_eq!(
        found,
        [(Reason::DiskRead, false), (Reason::DiskWrite, true)]
    );
    assert_eq!(certificates.len(), 1);
}

/// A discard leaves one random byte. The read-back finds it every time.
#[test]
fn disk_with_remains_gets_no_certificate() {
    const SMALL: usize = 256 << 10;
    for seed in 1..2000_u64 {
        let at = (noise(seed, 8)[5] as usize * 1024 + noise(seed, 8)[6] as usize * 4) % SMALL;
        let mut bytes = vec![0; SMALL];
        bytes[at] = 1 + (seed % 255) as u8;
        let stuck = seed % 3 == 0;
        let block = at as u64 / 512 * 512;
        let disk = FakeDisk::new(
            bytes,
            512,
            Faults {
                ignores_discard: true,
                stuck: stuck.then_some(block..block + 512),
                ..Faults::default()
            },
        );
        let (certificates, failures) = erase(&[&disk], EraseMethod::Discard);
        if stuck {
            assert_eq!(certificates, []);
            // A mark lies there, or does not.
            let reasons = [Reason::NotErased, Reason::ReadBack];
            assert!(reasons.contains(&failures[0].reason), "{failures:?}");
        } else {
            // The remains and the marks.
            assert!(certificates[0].repaired_bytes > 512, "seed {seed}");
            assert!(is_empty(&disk));
        }
    }
}

#[test]
fn disk_that_does_not_store_gets_no_certificate() {
    let disk = FakeDisk::new(
        vec![0; SIZE],
        512,
        Faults {
            stuck: Some(0..SIZE as u64),
            ..Faults::default()
        },
    );
    let (certificates, failures) = erase(&[&disk], EraseMethod::Discard);
    assert_eq!(certificates, []);
    assert_eq!(failures[0].reason, Reason::ReadBack, "{failures:?}");
}

#[test]
fn disk_that_ignores_a_sufficient_method_is_overwritten() {
    let disk = dirty(Faults {
        ignores_zeroes: true,
        ..Faults::default()
    });
    let (certificates, failures) = erase(&[&disk], EraseMethod::WriteZeroes);
    assert_eq!(failures, []);
    assert_eq!(certificates[0].method, EraseMethod::Overwrite);
    assert!(certificates[0].repaired_bytes > 0 && is_empty(&disk));
}

/// After a restart a mark, or what was there before, is back at its place.
#[test]
fn content_that_comes_back_is_found() {
    let marks = Marks::new(&SEED, "D0", SIZE as u64);
    for at in [marks.offset(7) as usize, 700, SIZE - 1] {
        let disk = dirty(Faults::default());
        let (certificates, _) = erase(&[&disk], EraseMethod::WriteZeroes);
        assert_eq!(certificates.len(), 1);
        let meter = Meter::new(AgentStep::Reread);
        let again = |disk: &FakeDisk| reread_all(vec![job("D0", disk)], &SEED, &meter);
        assert_eq!(again(&disk), []);
        let (done, total) = meter.progress();
        assert_eq!(done, total);
        let mut bytes = disk.bytes();
        bytes[at] = 1;
        let failures = again(&FakeDisk::new(bytes, 512, Faults::default()));
        assert_eq!(failures[0].reason, Reason::NotErased, "{failures:?}");
        assert!(failures[0].text.contains("D0"), "{failures:?}");
    }
}
