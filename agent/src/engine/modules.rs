//! Finds the kernel modules of a device and their load order. Parses
//! `modules.alias`, `modules.dep` and `modules.softdep`.
//!
//! [`crate::sys::modules`] reads the aliases from sysfs and loads the files.

use std::collections::HashMap;

/// Depth limit of dependency chains. It ends circular dependencies.
const MAX_DEPTH: usize = 16;

/// The module index of one kernel release.
#[derive(Debug, Default)]
pub struct ModuleIndex {
    /// Alias patterns and their modules, in file order.
    aliases: Vec<(String, String)>,
    /// Module name to its path below the release's folder and the paths of its
    /// dependencies.
    modules: HashMap<String, (String, Vec<String>)>,
    /// Module name to its soft dependencies, which are loaded before it.
    soft_before: HashMap<String, Vec<String>>,
}

impl ModuleIndex {
    /// Parses the three files. Skips malformed lines: their modules are missing.
    pub fn parse(alias: &str, dep: &str, softdep: &str) -> Self {
        let mut index = Self::default();
        for line in alias.lines() {
            let mut words = line.split_ascii_whitespace();
            if let (Some("alias"), Some(pattern), Some(module)) =
                (words.next(), words.next(), words.next())
            {
                index.aliases.push((pattern.into(), normal_name(module)));
            }
        }
        for line in dep.lines() {
            if let Some((path, needs)) = line.split_once(':') {
                index.modules.insert(
                    name_of_path(path),
                    (
                        path.into(),
                        needs.split_ascii_whitespace().map(String::from).collect(),
                    ),
                );
            }
        }
        for line in softdep.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some("softdep"), Some(module)) = (words.next(), words.next()) else {
                continue;
            };
            let mut before = false;
            for word in words {
                match word {
                    "pre:" => before = true,
                    "post:" => before = false,
                    name if before => index
                        .soft_before
                        .entry(normal_name(module))
                        .or_default()
                        .push(normal_name(name)),
                    _ => {}
                }
            }
        }
        index
    }

    /// Returns the names of the modules that match a device's alias.
    pub fn modules_for<'a>(&'a self, modalias: &'a str) -> impl Iterator<Item = &'a str> {
        self.aliases
            .iter()
            .filter(move |(pattern, _)| matches(pattern.as_bytes(), modalias.as_bytes()))
            .map(|(_, module)| module.as_str())
    }

    /// Returns the files to load for a module in load order, as paths below the
    /// release's folder. Empty if the module has no file: it is built in, or the
    /// ramdisk does not have it.
    pub fn load_order(&self, module: &str) -> Vec<&str> {
        let mut order = Vec::new();
        self.collect(&normal_name(module), 0, &mut order);
        order
    }

    fn collect<'a>(&'a self, name: &str, depth: usize, order: &mut Vec<&'a str>) {
        let Some((path, needs)) = self.modules.get(name) else {
            return;
        };
        if depth > MAX_DEPTH || order.contains(&path.as_str()) {
            return;
        }
        for soft in self.soft_before.get(name).into_iter().flatten() {
            self.collect(soft, depth + 1, order);
        }
        // modules.dep lists the nearest dependency first and is transitive.
        // The soft dependencies of a dependency need the recursion.
        for need in needs.iter().rev() {
            self.collect(&name_of_path(need), depth + 1, order);
        }
        if !order.contains(&path.as_str()) {
            order.push(path);
        }
    }
}

/// Replaces `-` by `_`, as in module names.
fn normal_name(name: &str) -> String {
    name.replace('-', "_")
}

/// `kernel/drivers/ata/libahci.ko` is the module `libahci`.
fn name_of_path(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal_name(file.split('.').next().unwrap_or(file))
}

/// Matches depmod's patterns: `*`, `?`, and sets such as `[0-9a]`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Position to resume at after a mismatch behind the last star.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Some(&first) => {
                if let Some(&byte) = text.get(t) {
                    let step = if first == b'[' {
                        set_length(&pattern[p..], byte)
                    } else {
                        (first == b'?' || first == byte).then_some(1)
                    };
                    if let Some(step) = step {
                        p += step;
                        t += 1;
                        continue;
                    }
                }
            }
            None if t == text.len() => return true,
            None => {}
        }
        match retry {
            Some((after_star, from)) if from < text.len() => {
                (p, t) = (after_star, from + 1);
                retry = Some((after_star, from + 1));
            }
            _ => return false,
        }
    }
}

/// Returns the length of the set at the start of `pattern` if it has `byte`.
fn set_length(pattern: &[u8], byte: u8) -> Option<usize> {
    let end = pattern.iter().position(|&byte| byte == b']')?;
    let mut inside = pattern.get(1..end)?;
    let mut found = false;
    while let [low, rest @ ..] = inside {
        (found, inside) = match rest {
            [b'-', high, rest @ ..] => (found || (*low..=*high).contains(&byte), rest),
            _ => (found || *low == byte, rest),
        };
    }
    found.then_some(end + 1)
}

/// Returns the parameters of a module on the kernel command line: the
/// `module.name=value` arguments as `name=value`, in their order. Dash and
/// underscore are equal in module names.
pub fn parameters(cmdline: &str, module: &str) -> String {
    let same = |name: &str| {
        name.len() == module.len()
            && name
                .bytes()
                .zip(module.bytes())
                .all(|(a, b)| a == b || (matches!(a, b'-' | b'_') && matches!(b, b'-' | b'_')))
    };
    let own = cmdline.split_ascii_whitespace().filter_map(|word| {
        let (name, parameter) = word.split_once('.')?;
        // Ignores dots in values.
        (same(name) && !name.contains('=')).then_some(parameter)
    });
    own.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALIAS: &str = "\
# Aliases extracted from modules themselves.
alias pci:v*d*sv*sd*bc01sc06i01* ahci
alias pci:v00008086d0000100Esv*sd*bc*sc*i* e1000
alias scsi:t-0x00* sd_mod
alias virtio:d00000001v* virtio_net
alias acpi*:APP0001:* applesmc
alias cpu:type:x86,ven*fam*mod*:feature:*00C0* crc32c-intel
";
    const DEP: &str = "\
kernel/drivers/ata/ahci.ko: kernel/drivers/ata/libahci.ko kernel/drivers/ata/libata.ko kernel/drivers/scsi/scsi_mod.ko
kernel/drivers/ata/libahci.ko: kernel/drivers/ata/libata.ko kernel/drivers/scsi/scsi_mod.ko
kernel/drivers/ata/libata.ko: kernel/drivers/scsi/scsi_mod.ko
kernel/drivers/scsi/scsi_mod.ko:
kernel/drivers/scsi/sd_mod.ko: kernel/block/t10-pi.ko kernel/drivers/scsi/scsi_mod.ko
kernel/block/t10-pi.ko: kernel/lib/crc-t10dif.ko
kernel/lib/crc-t10dif.ko:
kernel/crypto/crct10dif_common.ko:
";
    const SOFTDEP: &str =
        "softdep crc_t10dif pre: crct10dif-common crct10dif_missing post: other\n";

    #[test]
    fn alias_finds_its_modules() {
        let index = ModuleIndex::parse(ALIAS, DEP, SOFTDEP);
        let find = |alias| index.modules_for(alias).collect::<Vec<_>>();
        assert_eq!(
            find("pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"),
            ["ahci"]
        );
        assert_eq!(find("scsi:t-0x00"), ["sd_mod"]);
        assert_eq!(find("pci:v00008086d0000100Esv0sd0bc02sc00i00"), ["e1000"]);
        assert!(find("scsi:t-0x05").is_empty());
        assert!(find("").is_empty());
    }

    #[test]
    fn dependencies_and_soft_dependencies_come_first() {
        let index = ModuleIndex::parse(ALIAS, DEP, SOFTDEP);
        assert_eq!(
            index.load_order("ahci"),
            [
                "kernel/drivers/scsi/scsi_mod.ko",
                "kernel/drivers/ata/libata.ko",
                "kernel/drivers/ata/libahci.ko",
                "kernel/drivers/ata/ahci.ko",
            ]
        );
        assert_eq!(
            index.load_order("sd-mod"),
            [
                "kernel/drivers/scsi/scsi_mod.ko",
                "kernel/crypto/crct10dif_common.ko",
                "kernel/lib/crc-t10dif.ko",
                "kernel/block/t10-pi.ko",
                "kernel/drivers/scsi/sd_mod.ko",
            ]
        );
        assert!(index.load_order("built_in").is_empty());
    }

    #[test]
    fn circular_dependency_ends() {
        let index = ModuleIndex::parse("", "a.ko: b.ko\nb.ko: a.ko\n", "softdep a pre: b\n");
        assert_eq!(index.load_order("a").len(), 2);
    }

    #[test]
    fn patterns_match_as_in_the_shell() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("a*b*c", "aXbXbXc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("usb:v0[1-3]p*", "usb:v02p9", true),
            ("usb:v0[1-3]p*", "usb:v04p9", false),
            ("[ab]", "b", true),
            ("[ab", "a", false),
            ("*[0-9]*", "a7z", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(alias in ".*", dep in ".*", soft in ".*", name in ".*") {
            let index = ModuleIndex::parse(&alias, &dep, &soft);
            index.load_order(&name);
            prop_assert_eq!(index.modules_for(&name).count() <= index.aliases.len(), true);
        }

        #[test]
        fn a_text_matches_itself(text in "[a-z0-9:]*") {
            prop_assert!(matches(text.as_bytes(), text.as_bytes()));
            let open = format!("{text}*");
            prop_assert!(matches(open.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn module_gets_its_own_parameters() {
        let line = "quiet nvme_core.io_timeout=3 farrier.port=1 nvme-core.multipath=N \
                    nvme.poll_queues=2 root=nvme_core.x=1 usbcore.nousb";
        assert_eq!(parameters(line, "nvme-core"), "io_timeout=3 multipath=N");
        assert_eq!(parameters(line, "nvme"), "poll_queues=2");
        assert_eq!(parameters(line, "usbcore"), "nousb");
        assert_eq!(parameters(line, "ahci"), "");
    }
}
