//! Folders that end with the rig.
//!
//! Each is removed when its [`Folder`] is dropped. A signal ends a program
//! without dropping anything, so all folders are in a list too, and a program
//! that handles signals calls [`remove_all`].

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

static LIST: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// How often the removal of a folder is tried.
const TRIES: usize = 3;

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    /// What goes where the rest is kept; none where all of it goes.
    large: Option<Vec<PathBuf>>,
}

impl Entry {
    fn remove(&self) {
        // What can't be removed is only in the way.
        if let Some(large) = &self.large {
            for file in large {
                let _left = fs::remove_file(file);
            }
            return;
        }
        // A machine that still runs may make a file meanwhile.
        let _removed = (0..TRIES).any(|_| fs::remove_dir_all(&self.path).is_ok());
    }
}

/// A folder with a name of its own.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes a folder in `parent` whose name begins with `prefix`.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new(parent: &Path, prefix: &str) -> Result<Self> {
        // Locked first: no folder is made and not in the list.
        let mut list = list();
        let path = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent)
            .with_context(|| format!("making a folder in {}", parent.display()))?
            .keep();
        list.push(Entry {
            path: path.clone(),
            large: None,
        });
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From now on only these files of it are removed with it.
    pub fn keep_all_but(&self, large: Vec<PathBuf>) {
        if let Some(entry) = list().iter_mut().find(|entry| entry.path == self.path) {
            entry.large = Some(large);
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let mut list = list();
        if let Some(at) = list.iter().position(|entry| entry.path == self.path) {
            list.swap_remove(at).remove();
        }
    }
}

/// Removes what dropping every folder of this process would remove. The caller
/// ends the process then: whoever makes or drops a folder waits for that.
pub fn remove_all() {
    let list = list();
    for entry in list.iter() {
        entry.remove();
    }
    std::mem::forget(list);
}

fn list() -> MutexGuard<'static, Vec<Entry>> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path(), "rig-").unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("disk"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_is_kept_loses_its_large_files_only() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path(), "rig-").unwrap();
        let (disk, log) = (folder.path().join("disk"), folder.path().join("log"));
        fs::write(&disk, "x").unwrap();
        fs::write(&log, "x").unwrap();
        folder.keep_all_but(vec![disk.clone()]);
        drop(folder);
        assert!(!disk.exists() && log.exists());
    }
}
