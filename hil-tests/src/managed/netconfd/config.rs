//! Ports in the configuration of a switch: written for netconfd to start with, and
//! read of what it says. The appliance's parser has no part in it.

use anyhow::{Context, Result};
use farrier_netconf::Dialect;
use std::fmt::Write as _;

use crate::switch::{PortMode, VlanId};

/// Whether a dialect is one of Junos's, and not OpenConfig.
pub(super) fn is_junos(dialect: &Dialect) -> bool {
    dialect.name.starts_with("junos")
}

/// The configuration in which the ports carry this.
///
/// # Errors
/// One is plain.
pub(super) fn startup(
    dialect: &Dialect,
    ports: impl Iterator<Item = (String, PortMode)>,
) -> Result<String> {
    let mut interfaces = String::new();
    for (name, mode) in ports {
        let PortMode::Vlans { untagged, tagged } = mode else {
            anyhow::bail!("the plain port {name} has no VLANs that a configuration can say");
        };
        let write = match is_junos(dialect) {
            true => junos,
            false => openconfig,
        };
        let tagged: Vec<_> = tagged.iter().copied().collect();
        write(&mut interfaces, &name, untagged, &tagged)
            .with_context(|| format!("writing port {name}"))?;
    }
    let (root, end) = match is_junos(dialect) {
        true => (
            "<configuration xmlns=\"http://xml.juniper.net/xnm/1.1/xnm\"><interfaces>",
            "</interfaces></configuration>",
        ),
        false => (
            "<interfaces xmlns=\"http://openconfig.net/yang/interfaces\">",
            "</interfaces>",
        ),
    };
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <config xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\">\n\
         {root}\n{interfaces}{end}\n</config>\n"
    ))
}

type Written = std::result::Result<(), std::fmt::Error>;

fn junos(out: &mut String, name: &str, untagged: Option<VlanId>, tagged: &[VlanId]) -> Written {
    write!(out, "<interface><name>{name}</name>")?;
    let mode = if tagged.is_empty() { "access" } else { "trunk" };
    if let (Some(native), "trunk") = (untagged, mode) {
        write!(out, "<native-vlan-id>{}</native-vlan-id>", native.get())?;
    }
    write!(
        out,
        "<unit><name>0</name><family><ethernet-switching>\
         <interface-mode>{mode}</interface-mode><vlan>"
    )?;
    for vlan in untagged.iter().chain(tagged) {
        write!(out, "<members>{}</members>", vlan.get())?;
    }
    out.push_str("</vlan></ethernet-switching></family></unit></interface>\n");
    Ok(())
}

fn openconfig(
    out: &mut String,
    name: &str,
    untagged: Option<VlanId>,
    tagged: &[VlanId],
) -> Written {
    let (mode, key) = match tagged {
        [] => ("ACCESS", "access-vlan"),
        _ => ("TRUNK", "native-vlan"),
    };
    write!(
        out,
        "<interface><name>{name}</name><config><name>{name}</name></config>\
         <ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\">\
         <switched-vlan xmlns=\"http://openconfig.net/yang/vlan\"><config>\
         <interface-mode>{mode}</interface-mode>"
    )?;
    if let Some(vlan) = untagged {
        write!(out, "<{key}>{}</{key}>", vlan.get())?;
    }
    for vlan in tagged {
        write!(out, "<trunk-vlans>{}</trunk-vlans>", vlan.get())?;
    }
    out.push_str("</config></switched-vlan></ethernet></interface>\n");
    Ok(())
}

/// A port of a configuration, as far as it was read.
#[derive(Debug, Default)]
struct Port {
    name: String,
    trunk: bool,
    native: Option<VlanId>,
    members: Vec<VlanId>,
}

impl Port {
    fn mode(&self) -> PortMode {
        let members = self.members.iter().copied();
        match (self.trunk, self.members.first()) {
            (true, _) => {
                let tagged = members.filter(|vlan| Some(*vlan) != self.native);
                PortMode::trunk(tagged, self.native)
            }
            (false, Some(vlan)) => PortMode::access(*vlan),
            (false, None) => PortMode::closed(),
        }
    }
}

/// What the ports of an answer's configuration carry, by name.
pub(super) fn ports(answer: &str) -> Vec<(String, PortMode)> {
    let mut ports: Vec<Port> = Vec::new();
    each_text(answer, |path, text| {
        let (parent, name) = match path {
            [.., parent, name] => (*parent, *name),
            _ => return,
        };
        let vlan = || text.parse().ok().and_then(VlanId::new);
        match (parent, name, ports.last_mut()) {
            ("interface", "name", _) => ports.push(Port {
                name: text.to_owned(),
                ..Port::default()
            }),
            (_, "interface-mode" | "port-mode", Some(port)) => {
                port.trunk = text.eq_ignore_ascii_case("trunk");
            }
            (_, "native-vlan-id" | "native-vlan", Some(port)) => port.native = vlan(),
            (_, "members" | "access-vlan" | "trunk-vlans", Some(port)) => {
                port.members.extend(vlan());
            }
            _ => {}
        }
    });
    ports
        .into_iter()
        .map(|port| (port.name.clone(), port.mode()))
        .collect()
}

/// Hands out the text of each element that has one, with the names of the elements
/// around it. Comments, CDATA and entities are not understood: netconfd writes none
/// of them into a configuration of names and numbers.
fn each_text(xml: &str, mut take: impl FnMut(&[&str], &str)) {
    let mut path: Vec<&str> = Vec::new();
    for piece in xml.split('<').skip(1) {
        let Some((tag, text)) = piece.split_once('>') else {
            return;
        };
        if tag.starts_with(['?', '!']) {
            continue;
        }
        if tag.starts_with('/') {
            path.pop();
            continue;
        }
        let name = tag.split([' ', '\n', '/']).next().unwrap_or("");
        let name = name.rsplit(':').next().unwrap_or(name);
        if !tag.ends_with('/') {
            path.push(name);
            if !text.trim().is_empty() {
                take(&path, text.trim());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farrier_netconf::dialect::{JUNOS, JUNOS_ELS, OPENCONFIG};

    fn vlan(number: u16) -> VlanId {
        VlanId::new(number).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let all = [
            ("s1".to_owned(), PortMode::access(vlan(10))),
            (
                "appliance".to_owned(),
                PortMode::trunk([vlan(10), vlan(20)], Some(vlan(5))),
            ),
            ("s2".to_owned(), PortMode::trunk([vlan(20)], None)),
            ("s3".to_owned(), PortMode::trunk([], None)),
        ];
        for dialect in [&JUNOS, &JUNOS_ELS, &OPENCONFIG] {
            let text = startup(dialect, all.iter().cloned()).unwrap();
            assert_eq!(ports(&text), all, "{}", dialect.name);
        }
        let plain = [("s1".to_owned(), PortMode::Plain)];
        assert!(startup(&JUNOS, plain.into_iter()).is_err());
    }

    #[test]
    fn prefixes_attributes_and_empty_elements_are_no_names() {
        let answer = "<?xml version=\"1.0\"?>\n<nc:rpc-reply\n  message-id=\"1\"><data>\
            <a:interfaces xmlns:a=\"x\"><a:interface>\n <a:name>s1</a:name><a:empty/>\
            <access-vlan>7</access-vlan></a:interface></a:interfaces><nacm>\n</nacm></data>";
        let found = [("s1".to_owned(), PortMode::access(vlan(7)))];
        assert_eq!(ports(answer), found);
    }
}
