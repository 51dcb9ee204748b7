//! Settings of drivers: texts of a kind each, so that a setting takes no more room
//! than its value. Secrets are among them; what writes records of them is in
//! `rack::secrets`.

use super::{Full, Kind, StringPool};
use crate::interface::Setting;

impl StringPool {
    /// A setting of the node in a place; empty where there is none.
    pub fn setting(&self, node: usize, setting: Setting) -> &str {
        self.get(node, Kind::Setting(setting))
    }

    /// The secret that a node's BMC took before the present one; empty where the
    /// present one was seen to work, or is the first.
    pub fn former(&self, node: usize, setting: Setting) -> &str {
        self.get(node, Kind::Former(setting))
    }

    /// All settings of a node that have a value, with it. Values of secrets must not
    /// be shown.
    pub fn settings(&self, node: usize) -> impl Iterator<Item = (Setting, &str)> {
        Setting::ALL
            .into_iter()
            .map(move |setting| (setting, self.setting(node, setting)))
            .filter(|(_, value)| !value.is_empty())
    }

    /// The present secret was seen to work: the one before is gone.
    pub(crate) fn forget_former(&mut self, node: usize, setting: Setting) {
        let _less = self.set(node, Kind::Former(setting), "");
    }

    /// Puts another value in the place of a setting; an empty one removes it. The
    /// secret that worked last is kept beside a new one.
    ///
    /// # Errors
    /// [`Full`]; the old value stays.
    pub(crate) fn set_setting(
        &mut self,
        node: usize,
        setting: Setting,
        value: &str,
    ) -> Result<(), Full> {
        let old = self.setting(node, setting);
        if value.is_empty() || !setting.rotates() {
            self.set(node, Kind::Former(setting), "")?;
        } else if !old.is_empty() && old != value && self.former(node, setting).is_empty() {
            // Copied, as the pool moves its texts.
            let mut kept = heapless::String::<{ crate::interface::SETTING_LEN }>::new();
            kept.push_str(old).map_err(|_| Full)?;
            if StringPool::cost(value.len()) > self.free() {
                return Err(Full);
            }
            self.set(node, Kind::Former(setting), &kept)?;
        }
        if self.former(node, setting) == value {
            // The one before is the present one again.
            self.set(node, Kind::Former(setting), "")?;
        }
        self.set(node, Kind::Setting(setting), value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::ToOwned;

    #[test]
    fn a_secret_is_kept_until_the_next_one_is_known_to_work() {
        let mut texts = StringPool::new();
        let password = Setting::IpmiPassword;
        let mut set = |value: &str| {
            texts.set_setting(3, password, value).unwrap();
            let shown = (texts.setting(3, password), texts.former(3, password));
            (shown.0.to_owned(), shown.1.to_owned())
        };
        let is = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(set("one"), is("one", ""));
        assert_eq!(set("one"), is("one", ""));
        assert_eq!(set("two"), is("two", "one"));
        assert_eq!(
            set("three"),
            is("three", "one"),
            "two may never have worked"
        );
        assert_eq!(set("one"), is("one", ""), "taken back");
        assert_eq!(set("two"), is("two", "one"));
        assert_eq!(set(""), is("", ""));
    }

    #[test]
    fn others_have_no_former_value() {
        let mut texts = StringPool::new();
        for value in ["10.0.0.1", "10.0.0.2"] {
            let setting = Setting::IpmiAddress;
            texts.set_setting(0, setting, value).unwrap();
            assert_eq!(texts.setting(0, setting), value);
            assert_eq!(texts.former(0, setting), "");
        }
        let all: std::vec::Vec<_> = texts.settings(0).collect();
        assert_eq!(all, [(Setting::IpmiAddress, "10.0.0.2")]);
        assert_eq!(texts.settings(1).count(), 0);
    }

    #[test]
    fn nothing_of_a_removed_text_stays_in_memory() {
        let mut texts = StringPool::new();
        texts
            .set_setting(0, Setting::IpmiPassword, "secret")
            .unwrap();
        texts.set_setting(0, Setting::IpmiPassword, "").unwrap();
        assert!(texts.bytes.iter().all(|byte| *byte == 0));
        assert!(!std::format!("{texts:?}").contains("bytes"));
    }
}
