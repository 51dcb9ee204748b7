//! Every body on its kept corpus, on its seeds, and on changed copies of both.

use std::fs;

use farrier_fuzz::{BODIES, Body, change, corpus, seeds};
use farrier_testkit::Random;

/// Where this is set, the seeds are written into the kept corpora.
const WRITE: &str = "FARRIER_WRITE_SEEDS";

fn kept(body: &Body) -> Vec<Vec<u8>> {
    let folder = corpus(body.name);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    // Folders are in no order of their own.
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_body_has_its_seeds_in_its_kept_corpus() {
    for body in BODIES {
        let folder = corpus(body.name);
        let seeds = seeds::of(body.name);
        assert!(!seeds.is_empty(), "{}: no real message", body.name);
        for (name, bytes) in seeds {
            assert!(bytes.len() <= body.longest, "{}: {name}", body.name);
            let path = folder.join(name);
            if std::env::var_os(WRITE).is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &bytes).unwrap();
            }
            assert_eq!(
                fs::read(&path).ok(),
                Some(bytes),
                "{} is another: run this test with {WRITE}=1",
                path.display()
            );
        }
    }
}

/// Runs the bodies `first`, `first + 4`, …: the tests run side by side.
fn quarter(first: usize) {
    for body in BODIES.iter().skip(first).step_by(4) {
        let corpus = kept(body);
        for bytes in &corpus {
            (body.run)(bytes);
        }
        let mut random = Random::new(1, body.name.len() as u64);
        for number in 0..body.changes {
            let bytes = change::changed(&corpus, body.longest, &mut random);
            let told = Told(body.name, number, &bytes);
            (body.run)(&bytes);
            std::mem::forget(told);
        }
    }
}

/// Says which input failed.
struct Told<'a>(&'a str, u64, &'a [u8]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        eprintln!("body {}, change {}: {:02x?}", self.0, self.1, self.2);
    }
}

#[test]
fn a_first_quarter_of_the_bodies_takes_changed_messages() {
    quarter(0);
}

#[test]
fn a_second_quarter_of_the_bodies_takes_changed_messages() {
    quarter(1);
}

#[test]
fn a_third_quarter_of_the_bodies_takes_changed_messages() {
    quarter(2);
}

#[test]
fn a_last_quarter_of_the_bodies_takes_changed_messages() {
    quarter(3);
}
