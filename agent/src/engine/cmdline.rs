//! The parameters that the boot script puts on the kernel command line.

use std::net::Ipv4Addr;

use farrier_protocol::ticket::Ticket;

/// The agent's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootParameters {
    /// Single-use boot ticket (`farrier.ticket`, 64 hexadecimal digits).
    pub ticket: Ticket,
    /// Address of the appliance (`farrier.appliance`).
    pub appliance: Ipv4Addr,
    /// Address of the DHCP server whose leases it takes (`farrier.dhcp`, default the
    /// appliance's).
    pub dhcp_server: Ipv4Addr,
    /// UDP port of the agent protocol (`farrier.port`).
    pub port: u16,
    /// TCP port of the HTTP server (`farrier.http`, default 80).
    pub http_port: u16,
    /// The interface that the server booted from (`farrier.bootif`).
    pub boot_mac: [u8; 6],
}

/// Why a command line is invalid. The text names the parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CmdlineError {
    /// A parameter is missing.
    #[error("{0} is missing on the kernel command line")]
    Missing(&'static str),
    /// A parameter is malformed.
    #[error("{0} on the kernel command line is malformed")]
    Malformed(&'static str),
}

impl BootParameters {
    /// Parses the parameters in `/proc/cmdline`. The last value of a repeated
    /// parameter counts, as in the kernel.
    ///
    /// # Errors
    /// The first parameter that is missing or malformed.
    pub fn parse(cmdline: &str) -> Result<Self, CmdlineError> {
        let ticket = match Ticket::from_command_line(cmdline) {
            Some(Ok(ticket)) => ticket,
            Some(Err(_)) => return Err(CmdlineError::Malformed("farrier.ticket")),
            None => return Err(CmdlineError::Missing("farrier.ticket")),
        };
        let appliance = required(cmdline, "farrier.appliance")?;
        let port = required(cmdline, "farrier.port")?;
        let boot_mac = required(cmdline, "farrier.bootif")?;
        let appliance = appliance
            .parse()
            .map_err(|_| CmdlineError::Malformed("farrier.appliance"))?;
        Ok(Self {
            ticket,
            appliance,
            dhcp_server: match value(cmdline, "farrier.dhcp") {
                Some(text) => text
                    .parse()
                    .map_err(|_| CmdlineError::Malformed("farrier.dhcp"))?,
                None => appliance,
            },
            port: port
                .parse()
                .map_err(|_| CmdlineError::Malformed("farrier.port"))?,
            http_port: match value(cmdline, "farrier.http") {
                Some(text) => text
                    .parse()
                    .map_err(|_| CmdlineError::Malformed("farrier.http"))?,
                None => 80,
            },
            boot_mac: parse_mac(boot_mac).ok_or(CmdlineError::Malformed("farrier.bootif"))?,
        })
    }
}

fn required<'a>(cmdline: &'a str, name: &'static str) -> Result<&'a str, CmdlineError> {
    value(cmdline, name).ok_or(CmdlineError::Missing(name))
}

/// Returns the last value of `name` on a command line.
pub fn value<'a>(cmdline: &'a str, name: &str) -> Option<&'a str> {
    cmdline
        .split_ascii_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .next_back()
}

/// Parses a MAC address with `:` (sysfs) or `-` (iPXE).
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.trim().split([':', '-']);
    for byte in &mut mac {
        let part = parts.next()?;
        // `from_str_radix` accepts a sign.
        if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

    fn line() -> String {
        format!(
            "console=ttyS0 farrier.ticket={TICKET} farrier.appliance=10.7.0.1 \
             farrier.port=4242 farrier.bootif=52-54-00-aa-BB-01 quiet\n"
        )
    }

    #[test]
    fn every_parameter_is_parsed() {
        let parameters = BootParameters::parse(&line()).unwrap();
        assert_eq!(
            parameters.ticket,
            Ticket::from_random(core::array::from_fn(|i| i as u8))
        );
        assert_eq!(parameters.appliance, Ipv4Addr::new(10, 7, 0, 1));
        assert_eq!(parameters.dhcp_server, parameters.appliance);
        assert_eq!(parameters.port, 4242);
        assert_eq!(parameters.http_port, 80);
        assert_eq!(parameters.boot_mac, [0x52, 0x54, 0, 0xaa, 0xbb, 1]);
    }

    #[test]
    fn last_value_counts() {
        let parameters = BootParameters::parse(&(line() + " farrier.port=7")).unwrap();
        assert_eq!(parameters.port, 7);
    }

    #[test]
    fn another_server_may_give_the_address() {
        let line = line() + " farrier.dhcp=10.7.0.9";
        let parameters = BootParameters::parse(&line).unwrap();
        assert_eq!(parameters.dhcp_server, Ipv4Addr::new(10, 7, 0, 9));
        let error = BootParameters::parse(&(line + "x")).unwrap_err();
        assert_eq!(error, CmdlineError::Malformed("farrier.dhcp"));
    }

    #[test]
    fn error_names_the_parameter() {
        for (from, to, error) in [
            (
                "farrier.ticket",
                "x",
                CmdlineError::Missing("farrier.ticket"),
            ),
            (
                "=52-54",
                "=+2-54",
                CmdlineError::Malformed("farrier.bootif"),
            ),
            ("=0001", "=00", CmdlineError::Malformed("farrier.ticket")),
            ("=0001", "=+0+1", CmdlineError::Malformed("farrier.ticket")),
            (
                "10.7.0.1",
                "10.7.0",
                CmdlineError::Malformed("farrier.appliance"),
            ),
            ("=4242", "=70000", CmdlineError::Malformed("farrier.port")),
            (
                "=52-54-00",
                "=52-54",
                CmdlineError::Malformed("farrier.bootif"),
            ),
            (
                "=52-54-00",
                "=52-54-00-00",
                CmdlineError::Malformed("farrier.bootif"),
            ),
        ] {
            assert_eq!(
                BootParameters::parse(&line().replace(from, to)),
                Err(error),
                "{from} -> {to}"
            );
        }
    }
}
