//! A tenant: its identity, and the line that its instance has to print as
//! proof.

use crate::switch::Mac;
use serde_json::{Value, json};

/// A tenant with an instance of their own.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The instance's UUID.
    pub uuid: String,
    /// The host name that the instance must take.
    pub hostname: String,
    /// The user that must exist in it.
    pub user: String,
    /// The public key that must open it, as in `authorized_keys`.
    pub key: String,
    /// The key's fingerprint, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// A text that is found nowhere else: looked for on the disk after the
    /// release.
    pub secret: String,
    /// The interface of the tenant's network.
    pub mac: Mac,
}

impl Tenant {
    /// A tenant whose identifiers come from `number` and the server's name.
    /// The key is a well-formed ed25519 public key without a private half; `mac` is the interface that their network uses.
    pub fn new(server: &str, number: u8, mac: Mac) -> Self {
        use base64::Engine as _;
        use sha2::{Digest, Sha256};
        let b64 = base64::engine::general_purpose::STANDARD;
        let uuid = format!("fa441e00-0000-4000-8000-0000000000{number:02x}");
        // RFC 8709: a string "ssh-ed25519" and 32 bytes of key.
        let point: [u8; 32] = Sha256::digest(format!("tenant {server}")).into();
        let mut blob = Vec::new();
        for field in [&b"ssh-ed25519"[..], &point] {
            blob.extend((field.len() as u32).to_be_bytes());
            blob.extend(field);
        }
        let fingerprint = b64.encode(Sha256::digest(&blob));
        Tenant {
            hostname: format!("tenant-{server}"),
            user: "smith".to_owned(),
            key: format!("ssh-ed25519 {} {server}@tenant", b64.encode(&blob)),
            fingerprint: format!("SHA256:{}", fingerprint.trim_end_matches('=')),
            secret: format!("tenant-secret-{server}-{uuid}"),
            mac,
            uuid,
        }
    }

    /// The config drive, in the form of the API's JSON object.
    pub fn config_drive(&self) -> Value {
        let user_data = format!(
            "#cloud-config\n\
             users:\n\
             - name: {user}\n\
             \x20 shell: /bin/bash\n\
             \x20 sudo: ALL=(ALL) NOPASSWD:ALL\n\
             \x20 ssh_authorized_keys:\n\
             \x20 - {key}\n\
             write_files:\n\
             - path: /var/lib/tenant-secret\n\
             \x20 content: {secret}\n",
            user = self.user,
            key = self.key,
            secret = self.secret,
        );
        json!({
            "meta_data": {
                "uuid": self.uuid,
                "hostname": self.hostname,
                "name": self.hostname,
                "availability_zone": "rack",
            },
            "network_data": {
                "links": [{
                    "id": "link0",
                    "type": "phy",
                    "ethernet_mac_address": self.mac.to_string(),
                }],
                "networks": [{ "id": "network0", "type": "ipv4_dhcp", "link": "link0" }],
                "services": [],
            },
            "user_data": user_data,
        })
    }

    /// What the instance's own words must hold.
    pub fn proof(&self) -> String {
        format!(
            "farrier-instance: uuid={} hostname={} user={} key={}",
            self.uuid, self.hostname, self.user, self.fingerprint
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_differ() {
        let tenant = |name, n| Tenant::new(name, n, Mac([2, 0, 0, 0, 0, n]));
        let (a, b) = (tenant("bios", 1), tenant("uefi", 2));
        assert_ne!(a.uuid, b.uuid);
        assert_ne!(a.fingerprint, b.fingerprint);
        assert!(
            a.config_drive()["user_data"]
                .as_str()
                .unwrap()
                .contains(&a.secret)
        );
        assert!(a.proof().contains(&a.fingerprint));
    }
}
