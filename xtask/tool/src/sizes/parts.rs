//! What a program's flash and RAM hold, part by part, out of its symbols.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionIndex, SectionKind, elf};
use serde::Serialize;

/// Constants and padding, which have no symbol.
const UNNAMED: &str = "(constants without a symbol)";
/// Symbols that are no Rust paths: routines of the compiler, assembly.
const NO_PATH: &str = "(no Rust path)";
/// The stack, which has no symbol.
const STACK: &str = "(stack)";

/// Bytes by part.
pub type Bytes = BTreeMap<String, u64>;

/// A program's parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// Bytes of flash by crate; by task for what is inlined into one; by static
    /// for initial values, which a static has that is not all zeros. A generic
    /// function counts for the crate that it is defined in, a method for the
    /// crate of its type.
    pub flash: Bytes,
    /// Bytes of RAM by static.
    pub ram: Bytes,
}

impl Parts {
    /// Reads the parts of an ELF program that has `stack` bytes of stack.
    ///
    /// # Errors
    /// The file can not be read or is no ELF program.
    pub fn read(path: &Path, stack: u64) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("{}", path.display()))?;
        let file = object::File::parse(&*bytes)?;
        let mut parts = Self::default();
        let mut rest = 0;
        let mut sections = BTreeMap::new();
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
                continue;
            };
            if sh_flags.0 & elf::SHF_ALLOC.0 == 0 {
                continue;
            }
            let in_flash = !matches!(section.kind(), SectionKind::UninitializedData);
            let in_ram = sh_flags.0 & elf::SHF_WRITE.0 != 0;
            if in_flash {
                rest += section.size();
            }
            sections.insert(section.index().0, (in_flash, in_ram));
        }
        // One of several names for the same bytes.
        let mut seen = BTreeMap::new();
        for symbol in file.symbols().filter(|symbol| symbol.size() > 0) {
            let Some(SectionIndex(section)) = symbol.section_index() else {
                continue;
            };
            if let Some(place) = sections.get(&section) {
                let address = (section, symbol.address() & !1);
                seen.insert(address, (symbol.size(), symbol.name()?, *place));
            }
        }
        for (size, name, (in_flash, in_ram)) in seen.into_values() {
            let path = format!("{:#}", rustc_demangle::demangle(name));
            if in_flash {
                let part = match task_of(&path) {
                    _ if in_ram => format!("initial value of {path}"),
                    Some(task) => task,
                    None => crate_of(&path).to_owned(),
                };
                *parts.flash.entry(part).or_default() += size;
                rest = rest.saturating_sub(size);
            }
            if in_ram {
                *parts.ram.entry(path).or_default() += size;
            }
        }
        parts.flash.insert(UNNAMED.to_owned(), rest);
        parts.ram.insert(STACK.to_owned(), stack);
        Ok(parts)
    }
}

/// The embassy task whose `poll` this is: that of a generic wrapper, which
/// says nothing, with the task's whole body inlined.
fn task_of(path: &str) -> Option<String> {
    let (_, future) = path.split_once("embassy_executor::raw::TaskStorage<")?;
    let (_, name) = future.split_once("::__")?;
    let (name, _) = name.split_once("_task::")?;
    Some(format!("task {name}"))
}

/// The crate that a demangled symbol belongs to: of `<T as Trait>::f` the
/// crate of `T`, where `T` has one, else the trait's.
fn crate_of(path: &str) -> &str {
    let path = path.trim_start_matches("_");
    let Some(inner) = path.strip_prefix('<') else {
        return first_segment(path).unwrap_or(NO_PATH);
    };
    let (own, of_trait) = inner.split_once(" as ").unwrap_or((inner, ""));
    first_segment(own)
        .or_else(|| first_segment(of_trait))
        .unwrap_or("core")
}

/// What stands before the first `::`, without references and brackets.
fn first_segment(path: &str) -> Option<&str> {
    let bare = path.trim_start_matches(|c: char| "<&*[( ".contains(c));
    let bare = ["mut ", "const ", "dyn "]
        .iter()
        .fold(bare, |bare, word| bare.strip_prefix(word).unwrap_or(bare));
    let bare = bare.trim_start_matches(|c: char| "<&*[( ".contains(c));
    let (first, _) = bare.split_once("::")?;
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    is_name(first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_count_for_the_crate_of_their_type() {
        for (path, name) in [
            ("farrier_core::boot::decide", "farrier_core"),
            ("<farrier_core::Rack<48, 96, 96>>::step", "farrier_core"),
            (
                "<&farrier_http::Head as core::fmt::Debug>::fmt",
                "farrier_http",
            ),
            ("<&mut smoltcp::Socket as core::fmt::Debug>::fmt", "smoltcp"),
            ("<u8 as postcard::Ser>::ser", "postcard"),
            ("<[T] as core::fmt::Debug>::fmt", "core"),
            ("<[u8]>::copy_from_slice", "core"),
            ("core::ptr::drop_in_place<farrier_core::Rack>", "core"),
            ("memcpy", NO_PATH),
            ("__aeabi_uldivmod", NO_PATH),
        ] {
            assert_eq!(crate_of(path), name, "{path}");
        }
    }

    #[test]
    fn a_tasks_body_counts_for_the_task() {
        let poll = "<embassy_executor::raw::TaskStorage<board::program::__net_task::\
                    __net_task_inner_function::{closure#0}>>::poll";
        assert_eq!(task_of(poll).as_deref(), Some("task net"));
        assert_eq!(task_of("embassy_executor::raw::wake_task"), None);
    }

    #[test]
    fn parts_of_this_program_add_up_to_its_sections() {
        let own = std::env::current_exe().unwrap();
        let (flash, _) = crate::board::sizes(&own).unwrap();
        let parts = Parts::read(&own, 7).unwrap();
        assert_eq!(parts.flash.values().sum::<u64>(), flash);
        assert!(parts.flash.contains_key("xtask"));
        assert_eq!(parts.ram.get(STACK), Some(&7));
    }
}
