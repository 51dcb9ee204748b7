//! Kernel modules: their metadata, their dependencies, and the index files of the
//! loader.
//!
//! The `.modinfo` section of a module has the metadata, so depmod is not needed:
//! `depends` (dependencies), `softdep` (soft dependencies), `alias` (devices).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use object::{Object, ObjectSection, read::elf::ElfFile64};

/// One module file.
#[derive(Debug)]
struct Module {
    /// Path below `lib/modules/<release>`: `kernel/drivers/ata/ahci.ko`.
    path: String,
    file: PathBuf,
    depends: Vec<String>,
    /// The text of each `softdep`: `pre: crct10dif`.
    soft: Vec<String>,
    aliases: Vec<String>,
}

/// All modules of a kernel by name.
#[derive(Debug)]
pub struct Modules {
    by_name: BTreeMap<String, Module>,
    /// Aliases of algorithms and the modules that provide them: `crc32c_generic` and
    /// `crc32c_intel` provide `crc32c`. Aliases of devices are not included.
    offered: BTreeMap<String, Vec<String>>,
    /// The kernel's list of built-in modules.
    built_in: String,
}

/// Names of modules including their dependencies.
pub type Selection = BTreeSet<String>;

impl Modules {
    /// Reads all modules below `folder`, a `lib/modules/<release>`.
    ///
    /// # Errors
    /// A file can't be read or is not a module.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut by_name = BTreeMap::new();
        read_folder(folder, folder, &mut by_name)?;
        let built_in = fs::read_to_string(folder.join("modules.builtin"))?;
        let mut offered: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, module) in &by_name {
            for alias in module
                .aliases
                .iter()
                .filter(|alias| !alias.contains([':', '*']))
            {
                offered.entry(normal(alias)).or_default().push(name.clone());
            }
        }
        Ok(Self {
            by_name,
            offered,
            built_in,
        })
    }

    /// Selects the modules that `wanted` accepts by path, and their dependencies.
    pub fn select(&self, wanted: impl Fn(&str) -> bool) -> Selection {
        let mut selection = Selection::new();
        for (name, module) in &self.by_name {
            if wanted(&module.path) {
                self.add(name, &mut selection);
            }
        }
        selection
    }

    fn add(&self, name: &str, selection: &mut Selection) {
        let name = normal(name);
        let Some(module) = self.by_name.get(&name) else {
            // The module is built in.
            return;
        };
        if !selection.insert(name) {
            return;
        }
        for need in &module.depends {
            self.add(need, selection);
        }
        for soft in module
            .soft
            .iter()
            .flat_map(|soft| soft.split_ascii_whitespace())
        {
            for name in self.named(soft) {
                self.add(name, selection);
            }
        }
    }

    /// Returns the modules of a word in a `softdep`: a module's name or an alias.
    /// Keywords (`pre:`) and built-in modules give none.
    fn named<'a>(&'a self, word: &str) -> Vec<&'a str> {
        let word = normal(word);
        match self.by_name.get_key_value(&word) {
            Some((name, _)) => vec![name],
            None => self
                .offered
                .get(&word)
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect(),
        }
    }

    /// Returns the path below `lib/modules/<release>` and the file of each selected
    /// module.
    pub fn files<'a>(
        &'a self,
        selection: &'a Selection,
    ) -> impl Iterator<Item = (&'a str, &'a Path)> {
        selection
            .iter()
            .filter_map(|name| self.by_name.get(name))
            .map(|module| (module.path.as_str(), module.file.as_path()))
    }

    /// Returns the index files of a selection by name in depmod's formats. Replaces
    /// the aliases in a `softdep` by their modules.
    pub fn index(&self, selection: &Selection) -> Vec<(&'static str, String)> {
        let mut dep = String::new();
        let mut alias = String::new();
        let mut softdep = String::new();
        for name in selection {
            let Some(module) = self.by_name.get(name) else {
                continue;
            };
            let mut line = vec![format!("{}:", module.path)];
            let mut needs = Vec::new();
            self.needs(module, &mut needs);
            line.extend(needs.into_iter().map(str::to_owned));
            dep += &(line.join(" ") + "\n");
            for pattern in &module.aliases {
                alias += &format!("alias {pattern} {name}\n");
            }
            for soft in &module.soft {
                let mut line = vec!["softdep", name];
                for word in soft.split_ascii_whitespace() {
                    if word.ends_with(':') {
                        line.push(word);
                    }
                    line.extend(self.named(word));
                }
                softdep += &(line.join(" ") + "\n");
            }
        }
        vec![
            ("modules.dep", dep),
            ("modules.alias", alias),
            ("modules.softdep", softdep),
            ("modules.builtin", self.built_in.clone()),
        ]
    }

    /// Collects the paths of all dependencies, nearest first, as in modules.dep.
    fn needs<'a>(&'a self, module: &'a Module, list: &mut Vec<&'a str>) {
        for need in &module.depends {
            if let Some(needed) = self.by_name.get(&normal(need)) {
                list.retain(|path| *path != needed.path);
                list.push(&needed.path);
                self.needs(needed, list);
            }
        }
    }
}

fn read_folder(root: &Path, folder: &Path, into: &mut BTreeMap<String, Module>) -> Result<()> {
    for item in fs::read_dir(folder)? {
        let item = item?;
        let path = item.path();
        if item.file_type()?.is_dir() {
            read_folder(root, &path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            let module = read_module(root, &path)
                .with_context(|| format!("{} is not a kernel module", path.display()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            into.insert(normal(&name), module);
        }
    }
    Ok(())
}

fn read_module(root: &Path, file: &Path) -> Result<Module> {
    let bytes = fs::read(file)?;
    let elf: ElfFile64 = ElfFile64::parse(&*bytes)?;
    let section = elf
        .section_by_name(".modinfo")
        .context("no .modinfo section")?;
    let mut module = Module {
        path: file.strip_prefix(root)?.to_string_lossy().into_owned(),
        file: file.to_owned(),
        depends: Vec::new(),
        soft: Vec::new(),
        aliases: Vec::new(),
    };
    for entry in section.data()?.split(|byte| *byte == 0) {
        let entry = String::from_utf8_lossy(entry);
        match entry.split_once('=') {
            Some(("depends", list)) => module.depends.extend(
                list.split(',')
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned),
            ),
            Some(("softdep", text)) => module.soft.push(text.to_owned()),
            Some(("alias", pattern)) => module.aliases.push(pattern.to_owned()),
            _ => {}
        }
    }
    Ok(module)
}

/// Replaces `-` by `_`, as in module names.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str, depends: &[&str], soft: &[&str], aliases: &[&str]) -> Module {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Module {
            path: path.to_owned(),
            file: PathBuf::from(path),
            depends: owned(depends),
            soft: owned(soft),
            aliases: owned(aliases),
        }
    }

    fn tree() -> Modules {
        let by_name = BTreeMap::from([
            (
                "ahci".into(),
                module("kernel/ahci.ko", &["libahci"], &[], &["pci:v*d*"]),
            ),
            (
                "libahci".into(),
                module("kernel/libahci.ko", &["libata"], &[], &[]),
            ),
            (
                "libata".into(),
                module("kernel/libata.ko", &["scsi-mod"], &[], &[]),
            ),
            (
                "scsi_mod".into(),
                module("kernel/scsi_mod.ko", &[], &["pre: crc32c"], &[]),
            ),
            (
                "crc32c_generic".into(),
                module("kernel/crc32c-generic.ko", &[], &[], &["crc32c"]),
            ),
            ("sound".into(), module("kernel/sound.ko", &[], &[], &[])),
        ]);
        let offered = BTreeMap::from([("crc32c".into(), vec!["crc32c_generic".into()])]);
        Modules {
            by_name,
            offered,
            built_in: String::new(),
        }
    }

    #[test]
    fn selection_includes_dependencies() {
        let selection = tree().select(|path| path.ends_with("/ahci.ko"));
        let names: Vec<&str> = selection.iter().map(String::as_str).collect();
        assert_eq!(
            names,
            ["ahci", "crc32c_generic", "libahci", "libata", "scsi_mod"]
        );
    }

    #[test]
    fn index_has_the_formats_of_depmod() {
        let tree = tree();
        let index = tree.index(&tree.select(|path| path.ends_with("/ahci.ko")));
        let text = |name| {
            index
                .iter()
                .find(|(file, _)| *file == name)
                .map(|(_, text)| text.as_str())
                .unwrap()
        };
        assert!(text("modules.dep").starts_with(
            "kernel/ahci.ko: kernel/libahci.ko kernel/libata.ko kernel/scsi_mod.ko\n"
        ));
        assert_eq!(
            text("modules.alias"),
            "alias pci:v*d* ahci\nalias crc32c crc32c_generic\n"
        );
        assert_eq!(
            text("modules.softdep"),
            "softdep scsi_mod pre: crc32c_generic\n"
        );
    }
}
