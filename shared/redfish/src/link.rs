//! Links: paths within one service. What leads elsewhere is no link.

use crate::request::Target;
use crate::text::Text;

/// Longest path of a resource that is followed, in bytes.
pub const MAX_PATH: usize = 120;

/// A path that begins with `/` and has only printable ASCII.
pub(crate) type Path = Text<MAX_PATH>;

/// Why a link can't be followed. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LinkError {
    /// It is longer than [`MAX_PATH`], or than what its place holds.
    TooLong = 0,
    /// It is no path, or has bytes that a path must not have.
    Malformed = 1,
    /// It leads to another host, port or scheme.
    Elsewhere = 2,
}

/// Takes the path out of the `Location` of an answer to a change: BMCs write hosts
/// there by which they are not known here. The path is asked of the same service,
/// so nothing leaves it.
pub(crate) fn path_of_location<const N: usize>(link: &Text<N>) -> Option<&str> {
    let link = link.whole()?;
    let path = match link.split_once("://") {
        Some((_, rest)) if !link.starts_with('/') => rest.get(rest.find('/')?..)?,
        _ => link,
    };
    is_path(path).then_some(path)
}

fn is_path(path: &str) -> bool {
    let printable = path.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    printable && path.starts_with('/') && !path.starts_with("//")
}

/// Takes the path out of a link (RFC 3986, section 4.2): a path, or a URL of the
/// same scheme and host. A fragment is dropped: it names a part of the resource.
pub(crate) fn path<'t, const N: usize>(
    link: &'t Text<N>,
    target: &Target<'_>,
) -> Result<&'t str, LinkError> {
    let link = link.whole().ok_or(LinkError::TooLong)?;
    let link = link.trim_end_matches([' ', '\t']);
    let path = match link.split_once("://") {
        Some((scheme, rest)) if !link.starts_with('/') => {
            let (authority, path) = match rest.find('/') {
                Some(at) => rest.split_at_checked(at).unwrap_or((rest, "/")),
                None => (rest, "/"),
            };
            let same_scheme = scheme.eq_ignore_ascii_case(target.scheme.as_str());
            let standard = target.scheme.standard_port();
            let bare = |host: &'t str| host.strip_suffix(standard).unwrap_or(host);
            let own = target.host.strip_suffix(standard).unwrap_or(target.host);
            if !same_scheme || !bare(authority).eq_ignore_ascii_case(own) {
                return Err(LinkError::Elsewhere);
            }
            path
        }
        _ => link,
    };
    let path = path.split('#').next().unwrap_or(path);
    // `//host/path` leads to another host.
    if path.starts_with("//") {
        return Err(LinkError::Elsewhere);
    }
    match is_path(path) {
        true => Ok(path),
        false => Err(LinkError::Malformed),
    }
}
