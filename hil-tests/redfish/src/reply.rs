//! An answer of the service, ahead of HTTP.

use serde_json::{Value, json};

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers beside those of HTTP itself.
    pub headers: Vec<(&'static str, String)>,
    /// The document; `None` without one.
    pub body: Option<Value>,
}

impl Reply {
    pub(crate) const fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: None,
        }
    }

    pub(crate) const fn document(body: Value) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: Some(body),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// An error (DSP0266, "Error responses").
    pub(crate) fn error(status: u16, id: &str, message: &str) -> Self {
        let severity = if status < 400 { "OK" } else { "Critical" };
        let body = json!({"error": {
            "code": "Base.1.8.GeneralError",
            "message": "A general error has occurred. See ExtendedInfo for more information.",
            "@Message.ExtendedInfo": [{
                "@odata.type": "#Message.v1_1_1.Message",
                "MessageId": format!("Base.1.8.{id}"),
                "Message": message,
                "MessageArgs": [],
                "Severity": severity,
                "Resolution": "None.",
            }],
        }});
        Self {
            status,
            headers: Vec::new(),
            body: Some(body),
        }
    }

    /// The error that says that there is none.
    pub(crate) fn success() -> Self {
        let mut reply = Self::error(200, "Success", "The request completed successfully.");
        if let Some(code) = reply
            .body
            .as_mut()
            .and_then(|body| body.pointer_mut("/error/code"))
        {
            *code = json!("Base.1.8.Success");
        }
        reply
    }

    pub(crate) fn not_found(path: &str) -> Self {
        Self::error(
            404,
            "ResourceMissingAtURI",
            &format!("The resource at {path} was not found."),
        )
    }
}
