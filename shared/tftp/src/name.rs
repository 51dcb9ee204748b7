//! File names in the forms of boot clients: with `\` or `/`, with or without a
//! leading separator, with repeated separators, or with `.` components.

/// Iterates over the components of a name between `/` or `\`. Skips empty components
/// and `.`, and returns `..` unchanged; [`normalise`] refuses it.
pub fn components(name: &str) -> impl Iterator<Item = &str> + Clone {
    name.split(['/', '\\'])
        .filter(|part| !part.is_empty() && *part != ".")
}

/// Returns whether two names are of the same file. Case-sensitive.
#[must_use]
pub fn same_file(a: &str, b: &str) -> bool {
    components(a).eq(components(b))
}

/// Returns the name with `/` between its components and without a leading `/`. The
/// name is borrowed if it has that form, else it is written to `buf`.
///
/// Returns `None` if the name is empty, has `..` or a control character, or does not
/// fit `buf`.
#[must_use]
pub fn normalise<'a>(name: &'a str, buf: &'a mut [u8]) -> Option<&'a str> {
    if name.chars().any(char::is_control) || components(name).any(|part| part == "..") {
        return None;
    }
    // Removing a leading separator needs no copy.
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

/// Returns whether the name is in normal form.
fn is_plain(name: &str) -> bool {
    !name.contains('\\') && name.split('/').all(|part| !part.is_empty() && part != ".")
}
