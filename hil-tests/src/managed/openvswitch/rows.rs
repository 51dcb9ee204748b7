//! VLANs in the columns of Open vSwitch's table `Port`, as `ovs-vsctl` writes and
//! reads them. The appliance's code has no part in it.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::switch::{PortMode, VlanId};

/// The columns of a port that carries this, as words of `ovs-vsctl add-port`.
///
/// # Errors
/// It is a plain one, or carries nothing: no columns say so.
pub(super) fn columns(mode: &PortMode) -> Result<Vec<String>> {
    let PortMode::Vlans { untagged, tagged } = mode else {
        bail!("a plain port has no VLANs");
    };
    let tags: Vec<String> = tagged.iter().map(|vlan| vlan.get().to_string()).collect();
    let trunks = format!("trunks={}", tags.join(","));
    match (untagged, tags.is_empty()) {
        (Some(vlan), true) => Ok(vec![format!("tag={vlan}")]),
        (Some(vlan), false) => Ok(vec![
            format!("tag={vlan}"),
            trunks,
            "vlan_mode=native-untagged".to_owned(),
        ]),
        (None, false) => Ok(vec![trunks, "vlan_mode=trunk".to_owned()]),
        (None, true) => bail!("no columns say `{mode}`"),
    }
}

/// The name of a row with `name`, `tag`, `trunks` and `vlan_mode`, and what the port
/// carries (`ovs-vswitchd.conf.db(5)`).
///
/// # Errors
/// It is another row.
pub(super) fn mode(row: &Value) -> Result<(String, PortMode)> {
    let name = row[0].as_str().context("a port has a name")?;
    let tag = numbers(&row[1]).first().copied();
    let trunks = numbers(&row[2]);
    let mode = match (row[3].as_str(), tag) {
        (Some("access"), Some(tag)) | (None, Some(tag)) => PortMode::access(tag),
        (Some("native-untagged"), tag) => PortMode::trunk(trunks, tag),
        (Some("trunk") | None, _) => PortMode::trunk(trunks, None),
        (Some(other), _) => bail!("port {name} is {other}"),
    };
    Ok((name.to_owned(), mode))
}

/// A set of VLANs: one is written alone (RFC 7047, 5.1).
fn numbers(value: &Value) -> Vec<VlanId> {
    let one = |value: &Value| {
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
        number.and_then(VlanId::new)
    };
    match value[1].as_array() {
        Some(set) => set.iter().filter_map(one).collect(),
        None => one(value).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn vlan(number: u16) -> VlanId {
        VlanId::new(number).unwrap()
    }

    #[test]
    fn rows_say_what_a_port_carries() {
        let empty = json!(["set", []]);
        for (row, expected) in [
            (json!(["a", 10, empty, empty]), PortMode::access(vlan(10))),
            (
                json!(["a", 5, ["set", [10, 20]], "native-untagged"]),
                PortMode::trunk([vlan(10), vlan(20)], Some(vlan(5))),
            ),
            (
                json!(["a", empty, 20, empty]),
                PortMode::trunk([vlan(20)], None),
            ),
            (json!(["a", 10, 20, "access"]), PortMode::access(vlan(10))),
        ] {
            assert_eq!(mode(&row).unwrap(), ("a".to_owned(), expected));
        }
        assert!(mode(&json!(["a", 5, empty, "dot1q-tunnel"])).is_err());
        assert!(columns(&PortMode::Plain).is_err());
        assert!(columns(&PortMode::closed()).is_err());
        assert_eq!(columns(&PortMode::access(vlan(7))).unwrap(), ["tag=7"]);
    }
}
