//! The first account of an appliance: `admin`, with a random password that is
//! printed once and lies in one file. The asset store has only what checks it.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use farrier_core::accounts::{Verifier, password};

/// Name of the file with the password.
pub const FILE: &str = "operator-password";
/// Letters and digits of a password, none of which reads as another one.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Characters of a password: 5 bits each.
const LENGTH: usize = 24;

/// A password, and what checks it.
#[derive(Clone)]
pub struct FirstAccount {
    /// The password.
    pub password: String,
    /// Belongs into the store's configuration.
    pub verifier: Verifier,
}

impl FirstAccount {
    /// A random password.
    ///
    /// # Errors
    /// The host has no random bytes.
    pub fn random() -> Result<Self> {
        let (mut letters, mut salt) = ([0; LENGTH], [0; 16]);
        let mut random = File::open("/dev/urandom")?;
        random.read_exact(&mut letters)?;
        random.read_exact(&mut salt)?;
        let password: String = letters
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
            .collect();
        let verifier = password::verifier(password.as_bytes(), salt);
        Ok(Self { password, verifier })
    }

    /// Writes the password into a folder, for its owner alone. Returns the
    /// file.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(FILE);
        // One of before keeps its mode when it is opened again.
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("{}", path.display()))?;
        }
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("{}", path.display()))?;
        writeln!(file, "{}", self.password)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_password_is_its_owners_and_checked_by_its_verifier() {
        let folder = std::env::temp_dir().join(format!("farrier-first-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(FILE), "an old one, for everybody").unwrap();
        let (one, other) = (
            FirstAccount::random().unwrap(),
            FirstAccount::random().unwrap(),
        );
        assert_ne!(one.password, other.password);
        assert_ne!(one.verifier.salt, other.verifier.salt);
        let path = one.write(&folder).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let written = fs::read_to_string(&path).unwrap();
        let again = password::verifier(written.trim_end().as_bytes(), one.verifier.salt);
        assert!(again == one.verifier);
        fs::remove_dir_all(&folder).unwrap();
    }
}
