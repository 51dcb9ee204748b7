//! Core's rooms and the arrows between them: each room uses rooms below it
//! only, by paths and by the rack's methods.
//!
//! `cargo test -p farrier-core --test rooms -- --nocapture` prints the arrows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, from the lowest to the highest. Rooms in one row do not use each
/// other.
const ROWS: [&[&str]; 9] = [
    &["interface"],
    &["node", "strings", "ipam", "ports"],
    &["persist"],
    &["rack"],
    &["accounts", "allocation", "power", "identity", "switch"],
    &["provisioning"],
    &["agent", "boot"],
    &["commands"],
    &["step"],
];

fn row_of(room: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&room))
}

struct Room {
    name: String,
    /// Its sources without comments and unit tests.
    text: String,
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs")
            && path.file_stem().is_some_and(|stem| stem != "tests")
        {
            found.push(path);
        }
    }
}

fn rooms() -> Vec<Room> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut rooms: BTreeMap<String, String> = BTreeMap::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap();
        let name = Path::new(first.as_os_str()).file_stem().unwrap();
        let name = name.to_string_lossy().into_owned();
        if name == "lib" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let room = rooms.entry(name).or_default();
        for line in code {
            room.push_str(line);
            room.push('\n');
        }
    }
    let room = |(name, text)| Room { name, text };
    rooms.into_iter().map(room).collect()
}

/// Words that follow `before` in a text.
fn words_behind<'t>(text: &'t str, before: &str) -> BTreeSet<&'t str> {
    let starts = text.match_indices(before).map(|(at, _)| at + before.len());
    let word = |at: usize| {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    };
    starts.map(word).collect()
}

/// Methods that a room gives the rack.
fn methods(room: &Room) -> BTreeSet<&str> {
    let mut all = BTreeSet::new();
    for block in room.text.split("Rack<N, L, D> {\n").skip(1) {
        let block = block.split("\n}\n").next().unwrap();
        all.extend(words_behind(block, "fn "));
    }
    all
}

/// What a room uses of others: the other room, and by what.
fn arrows(rooms: &[Room]) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut arrows: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut add = |from: &Room, to: &str, what: &str| {
        let key = (from.name.clone(), to.to_owned());
        arrows.entry(key).or_default().insert(what.to_owned());
    };
    for room in rooms {
        for path in words_behind(&room.text, "crate::") {
            if path != room.name && row_of(path).is_some() {
                add(room, path, "path");
            }
        }
        // A method of the same name may be another type's.
        let own = words_behind(&room.text, "fn ");
        let calls = words_behind(&room.text, "self.");
        for other in rooms.iter().filter(|other| other.name != room.name) {
            for method in methods(other) {
                if calls.contains(method)
                    && !own.contains(method)
                    && room.text.contains(&format!("self.{method}("))
                {
                    add(room, &other.name, method);
                }
            }
        }
    }
    arrows
}

#[test]
fn every_room_has_its_row() {
    for room in rooms() {
        assert!(row_of(&room.name).is_some(), "{} has no row", room.name);
    }
}

#[test]
fn arrows_between_rooms_point_downwards() {
    let rooms = rooms();
    let mut upwards = Vec::new();
    for ((from, to), what) in arrows(&rooms) {
        let what: Vec<_> = what.into_iter().collect();
        println!("{from} -> {to}: {}", what.join(", "));
        if row_of(&from) <= row_of(&to) {
            upwards.push(format!("{from} uses {to}: {}", what.join(", ")));
        }
    }
    assert!(upwards.is_empty(), "{upwards:#?}");
}
