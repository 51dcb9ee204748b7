//! The files of a config drive, out of the JSON object that the Ironic API
//! takes: `meta_data`, `network_data`, `user_data`, `vendor_data`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Label of the partition and of its file system, by which cloud-init and its
/// kin find a config drive.
pub const LABEL: &str = "config-2";

/// Folder of the files.
pub const FOLDER: &str = "openstack/latest";

/// One file below [`FOLDER`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Name.
    pub name: &'static str,
    /// Content.
    pub content: Vec<u8>,
}

/// Why no files can be made out of a text.
#[derive(Debug, thiserror::Error)]
pub enum ConfigDriveError {
    /// The text is a JSON value of another kind.
    #[error("the config drive is no JSON object")]
    NotObject,
    /// The text is no JSON object with the four keys.
    #[error("the config drive is no JSON object: {0}")]
    NotJson(#[from] serde_json::Error),
    /// `meta_data` is no JSON object.
    #[error("meta_data is no JSON object: {0}")]
    BadMetaData(serde_json::Error),
}

/// Each document keeps its own text: nothing is re-ordered or re-written.
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

/// The files for `json`. `meta_data.json` is always there and always has a
/// `uuid`, by which cloud-init tells a first boot: the `instance` is put in
/// where the text names none.
///
/// # Errors
/// The text is not what it should be.
pub fn files(json: &[u8], instance: &str) -> Result<Vec<File>, ConfigDriveError> {
    // A list would pass for an object whose values come in order.
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

/// A string's content, or any other document's own text.
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
    fn an_instance_is_always_named() {
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
    fn user_data_may_be_an_object() {
        let files = files(br#"{"user_data": {"ssh": [1]}}"#, "n-1").unwrap();
        assert_eq!(find(&files, "user_data"), Some(r#"{"ssh": [1]}"#));
    }

    #[test]
    fn what_is_no_object_is_refused() {
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
