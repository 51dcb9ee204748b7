//! File names as boot clients write them: with `\` or `/`, with or without a
//! leading one, doubled, or with `.` in between. Nothing here knows which
//! files exist.

/// The parts of a name, between `/` or `\`; empty parts and `.` are left out.
///
/// `..` is given as it stands: see [`normalise`] for refusing it.
pub fn components(name: &str) -> impl Iterator<Item = &str> + Clone {
    name.split(['/', '\\'])
        .filter(|part| !part.is_empty() && *part != ".")
}

/// Whether two names mean the same file. Letter case counts.
#[must_use]
pub fn same_file(a: &str, b: &str) -> bool {
    components(a).eq(components(b))
}

/// The name with `/` between its parts and none in front, borrowed where it
/// already has that form, else written to `buf`.
///
/// `None` for a name that is empty, climbs (`..`), holds a control character,
/// or does not fit into `buf`.
#[must_use]
pub fn normalise<'a>(name: &'a str, buf: &'a mut [u8]) -> Option<&'a str> {
    if name.chars().any(char::is_control) || components(name).any(|part| part == "..") {
        return None;
    }
    // A leading separator alone can be cut off without a copy.
    let trimmed = name.trim_start_matches(['/', '\\']);
    if !trimmed.is_empty() && is_plain(trimmed) {
        return Some(trimmed);
    }
    let mut len = 0;
    for part in components(name) {
        let separator: &[u8] = if len == 0 { b"" } else { b"/" };
        for bytes in [separator, part.as_bytes()] {
            buf.get_mut(len..len + bytes.len())?.copy_from_slice(bytes);
            len += bytes.len();
        }
    }
    let bytes: &'a [u8] = buf;
    let written = bytes.get(..len).filter(|written| !written.is_empty())?;
    core::str::from_utf8(written).ok()
}

/// Whether every part between `/` counts and there is no `\`.
fn is_plain(name: &str) -> bool {
    !name.contains('\\') && name.split('/').all(|part| !part.is_empty() && part != ".")
}
