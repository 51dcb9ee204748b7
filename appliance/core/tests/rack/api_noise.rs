//! Noise at the operator's API: whatever comes, there is a well-formed reply,
//! and how it was torn makes no difference.

use crate::api_rig::*;
use farrier_api::REPLY_BUFFER;
use proptest::prelude::*;

/// Words that the API knows, so that noise gets somewhere.
fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "v1",
        "nodes",
        "detail",
        "rack-1",
        "states",
        "provision",
        "power",
        "inventory",
        "ports",
        "farrier",
        "status",
        "images",
        "validate",
        "drivers",
        "conductors",
        "chassis",
        "traits",
        "",
        "%41",
        "x",
    ])
    .prop_map(str::to_owned)
}

fn token() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\"",
        "\\",
        "\\u00e4",
        "7",
        "true",
        "null",
        "\n",
        "\"target\"",
        "\"active\"",
        "\"manage\"",
        "\"configdrive\"",
        "\"clean_steps\"",
        "\"step\"",
        "\"op\"",
        "\"add\"",
        "\"remove\"",
        "\"path\"",
        "\"/name\"",
        "\"/instance_info\"",
        "\"/driver_info/a\"",
        "\"value\"",
        "\"x\"",
        "{\"op\":\"add\",\"path\":\"/driver_info/b\",\"value\":",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any path and any query has a reply whose JSON is well-formed.
    #[test]
    fn targets(
        path in prop::collection::vec(word(), 0..6),
        query in "((fields|detail|limit|marker|provision_state|node)=[a-z0-9%,+-]{0,9}&?){0,3}",
        method in prop::sample::select(vec!["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"]),
    ) {
        let mut lab = rack();
        let target = format!("/{}?{query}", path.join("/"));
        let reply = call(&mut lab, method, &target, "");
        prop_assert!((200..=501).contains(&reply.status));
        let refused = reply.body.get("error_message").is_some();
        prop_assert_eq!(refused, reply.status >= 400 && method != "HEAD");
    }

    /// Any body is answered, and the same however it comes.
    #[test]
    fn bodies(
        body in prop::collection::vec(token(), 0..20).prop_map(|tokens| tokens.concat()),
        patch in any::<bool>(),
        cut in 1usize..9,
    ) {
        let (method, target) = match patch {
            true => ("PATCH", "/v1/nodes/rack-1"),
            false => ("PUT", "/v1/nodes/rack-1/states/provision"),
        };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let torn = exchange(&mut rack(), request.as_bytes(), cut, REPLY_BUFFER);
        let whole = exchange(&mut rack(), request.as_bytes(), 10_000, REPLY_BUFFER);
        prop_assert!(torn.keep_alive);
        prop_assert_eq!(torn.status, whole.status);
        prop_assert_eq!(torn.body, whole.body);
    }
}
