//! Converts the JSON object of the Ironic API (`meta_data`, `network_data`,
//! `user_data`, `vendor_data`) to the files of a config drive.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Label of the partition and of its file system. cloud-init finds a config drive
/// by it.
pub const LABEL: &str = "config-2";

/// Path of the folder that has the files.
pub const FOLDER: &str = "openstack/latest";

/// One file below [`FOLDER`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// File name.
    pub name: &'static str,
    /// Content.
    pub content: Vec<u8>,
}

/// Why a text is not a config drive.
#[derive(Debug, thiserror::Error)]
pub enum ConfigDriveError {
    /// The text is a JSON value of another kind.
    #[error("the config drive is not a JSON object")]
    NotObject,
    /// The text is not a JSON object with the four keys.
    #[error("the config drive is not a JSON object with the known keys: {0}")]
    NotJson(#[from] serde_json::Error),
    /// `meta_data` is not a JSON object.
    #[error("meta_data of the config drive is not a JSON object: {0}")]
    BadMetaData(serde_json::Error),
}

/// The documents. Each keeps its text, so that nothing is reordered.
#[derive(Deserialize)]
struct Documents<'a> {
    #[serde(borrow, default)]
    meta_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    network_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    user_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    vendor_data: Option<&'a RawValue>,
}

/// Returns the files for `json`. `meta_data.json` always exists and always has a
/// `uuid`, by which cloud-init detects a first boot; the default is `instance`.
///
/// # Errors
/// See [`ConfigDriveError`].
pub fn files(json: &[u8], instance: &str) -> Result<Vec<File>, ConfigDriveError> {
    // serde would also accept a list of the values.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(ConfigDriveError::NotObject);
    }
    let documents: Documents<'_> = serde_json::from_slice(json)?;
    let mut files = vec![File {
        name: "meta_data.json",
        content: meta_data(documents.meta_data, instance)?,
    }];
    for (name, document) in [
        ("network_data.json", documents.network_data),
        ("user_data", documents.user_data),
        ("vendor_data.json", documents.vendor_data),
    ] {
        let Some(document) = document.filter(|document| document.get() != "null") else {
            continue;
        };
        files.push(File {
            name,
            content: text_of(document)?,
        });
    }
    Ok(files)
}

/// Returns the content of a string, or the JSON text of another document.
fn text_of(document: &RawValue) -> Result<Vec<u8>, serde_json::Error> {
    if document.get().starts_with('"') {
        serde_json::from_str::<String>(document.get()).map(String::into_bytes)
    } else {
        Ok(document.get().into())
    }
}

fn meta_data(document: Option<&RawValue>, instance: &str) -> Result<Vec<u8>, ConfigDriveError> {
    let text = match document.filter(|document| document.get() != "null") {
        Some(document) => text_of(document)?,
        None => b"{}".to_vec(),
    };
    let mut entries: BTreeMap<&str, &RawValue> =
        serde_json::from_slice(&text).map_err(ConfigDriveError::BadMetaData)?;
    if entries.contains_key("uuid") {
        return Ok(text);
    }
    let uuid = serde_json::value::to_raw_value(instance).map_err(ConfigDriveError::BadMetaData)?;
    entries.insert("uuid", &uuid);
    serde_json::to_vec(&entries).map_err(ConfigDriveError::BadMetaData)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find<'a>(files: &'a [File], name: &str) -> Option<&'a str> {
        files
            .iter()
            .find(|file| file.name == name)
            .map(|file| std::str::from_utf8(&file.content).unwrap())
    }

    #[test]
    fn every_document_becomes_a_file() {
        let json = br##"{
            "user_data": "#cloud-config\nhostname: \u00e4\n",
            "meta_data": {"uuid": "u-1", "b": 1,  "a": 2},
            "network_data": {"links": []},
            "vendor_data": null,
            "other": 1
        }"##;
        let files = files(json, "n-1").unwrap();
        assert_eq!(
            find(&files, "meta_data.json"),
            Some(r#"{"uuid": "u-1", "b": 1,  "a": 2}"#)
        );
        assert_eq!(
            find(&files, "user_data"),
            Some("#cloud-config\nhostname: ä\n")
        );
        assert_eq!(find(&files, "network_data.json"), Some(r#"{"links": []}"#));
        assert_eq!(find(&files, "vendor_data.json"), None);
    }

    #[test]
    fn meta_data_always_has_a_uuid() {
        for json in ["{}", r#"{"meta_data": null}"#, r#"{"meta_data": "{}"}"#] {
            let files = files(json.as_bytes(), "n-1").unwrap();
            assert_eq!(find(&files, "meta_data.json"), Some(r#"{"uuid":"n-1"}"#));
        }
        let files = files(br#"{"meta_data": {"name": "web"}}"#, "n-1").unwrap();
        assert_eq!(
            find(&files, "meta_data.json"),
            Some(r#"{"name":"web","uuid":"n-1"}"#)
        );
    }

    #[test]
    fn user_data_can_be_an_object() {
        let files = files(br#"{"user_data": {"ssh": [1]}}"#, "n-1").unwrap();
        assert_eq!(find(&files, "user_data"), Some(r#"{"ssh": [1]}"#));
    }

    #[test]
    fn other_json_values_fail() {
        for json in [
            "",
            "[]",
            "1",
            r#"{"meta_data": []}"#,
            r#"{"meta_data": "x"}"#,
        ] {
            assert!(files(json.as_bytes(), "n").is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(json in any::<Vec<u8>>(), instance in ".*") {
            let _files = files(&json, &instance);
        }
    }
}
