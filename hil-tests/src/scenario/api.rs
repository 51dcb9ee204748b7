//! A client of the appliance's HTTP API, as far as scenarios need one.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, RequestBuilder};

/// How long one request may take. An emulated appliance that serves images
/// to several servers answers late, not never.
const PATIENCE: Duration = Duration::from_secs(30);
/// The API version that is asked for: the newest that the appliance has.
const VERSION: (&str, &str) = ("X-OpenStack-Ironic-API-Version", "latest");

/// A client of one appliance.
#[derive(Debug, Clone)]
pub struct Api {
    agent: Agent,
    base: String,
    /// The value of `Authorization`; empty without an account.
    authorization: String,
}

impl Api {
    /// A client of the appliance at `base`, such as `http://127.0.0.1:8080`,
    /// without an account.
    pub fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .build();
        Self {
            agent: config.into(),
            base: base.to_owned(),
            authorization: String::new(),
        }
    }

    /// The same with an account.
    #[must_use]
    pub fn with_account(&self, name: &str, password: &str) -> Self {
        let token = STANDARD.encode(format!("{name}:{password}"));
        Self {
            authorization: format!("Basic {token}"),
            ..self.clone()
        }
    }

    /// The value of `Authorization` in its requests; empty without an account.
    #[must_use]
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// No answer, or one that is no success; the error has its words.
    pub fn get(&self, path: &str) -> Result<Value> {
        let request = self.signed(self.agent.get(self.url(path)));
        answer("GET", path, request.call())
    }

    /// Replaces a resource, such as a node's provision state.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.signed(self.agent.put(self.url(path)));
        answer("PUT", path, request.send_json(body))
    }

    /// Makes a resource.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.signed(self.agent.post(self.url(path)));
        answer("POST", path, request.send_json(body))
    }

    /// Changes a resource by a JSON patch (RFC 6902).
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.signed(self.agent.patch(self.url(path)));
        answer("PATCH", path, request.send_json(body))
    }

    fn signed<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        let request = request.header(VERSION.0, VERSION.1);
        match self.authorization.as_str() {
            "" => request,
            value => request.header("Authorization", value),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn answer(
    method: &str,
    path: &str,
    result: Result<Response<ureq::Body>, ureq::Error>,
) -> Result<Value> {
    let mut response = result.with_context(|| format!("{method} {path}"))?;
    let status = response.status();
    let text = response
        .body_mut()
        .read_to_string()
        .with_context(|| format!("{method} {path}: the body"))?;
    if !status.is_success() {
        bail!("{method} {path}: {status}: {text}");
    }
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("{method} {path}: {text}"))
}
