use super::*;

#[test]
fn names_and_numbers_lead_back() {
    for (number, setting) in (0..).zip(Setting::ALL) {
        assert_eq!(setting as u8, number);
        assert_eq!(Setting::from_number(number), Some(setting));
        assert_eq!(Setting::named(setting.key()), Some(setting));
        assert_eq!(Setting::SECRETS.contains(&setting), setting.is_secret());
        assert!(!setting.expects().is_empty());
        assert!(setting.key().len() <= crate::node::DRIVER_KEY_LEN);
    }
    for driver in DriverKind::ALL {
        assert_eq!(DriverKind::named(driver.name()), Some(driver));
        assert_eq!(DriverKind::from_number(driver as u8), Some(driver));
    }
    assert_eq!(DriverKind::named("farrier"), Some(DriverKind::Manual));
    assert_eq!(DriverKind::named("ipmitool"), None);
    assert_eq!(Setting::from_number(16), None);
}

#[test]
fn values_are_looked_at() {
    let long = "x".repeat(65);
    let cases: [(Setting, &[&str], &[&str]); 11] = [
        (
            Setting::IpmiAddress,
            &["10.0.0.9"],
            &["", "bmc", "10.0.0", "0.0.0.0", "255.255.255.255", "::1"],
        ),
        (
            Setting::IpmiPort,
            &["1", "65535"],
            &["0", "65536", "+1", "-1", "x"],
        ),
        (
            Setting::IpmiUsername,
            &["admin"],
            &["seventeen-letters", "a b", "ä"],
        ),
        (
            Setting::IpmiPassword,
            &["a b", "passwörter"],
            &["a password of twenty-", "a\0"],
        ),
        (Setting::IpmiCipherSuite, &["3", "17"], &["0", "03", "16"]),
        (Setting::IpmiPrivLevel, &["OPERATOR"], &["operator", "USER"]),
        (
            Setting::IpmiHexKgKey,
            &["00112233445566778899aAbBcCdDeEfF00112233"],
            &["0011", "zz112233445566778899aabbccddeeff00112233"],
        ),
        (
            Setting::RedfishAddress,
            &[
                "http://10.0.0.9",
                "https://10.0.0.9:8443/",
                "https://10.0.0.9",
            ],
            &[
                "10.0.0.9",
                "https://bmc",
                "https://10.0.0.9/redfish",
                "ftp://10.0.0.9",
            ],
        ),
        (
            Setting::RedfishSystemId,
            &["/redfish/v1/Systems/1"],
            &["1", "/a b", &long],
        ),
        (
            Setting::SnmpOutlet,
            &["8", "1.1.8"],
            &["1.", ".1", "1.1.1.1", "a", "4294967296"],
        ),
        (
            Setting::SnmpDriver,
            &["apc", "apc_rackpdu", "poe"],
            &["auto", "APC"],
        ),
    ];
    for (setting, good, bad) in cases {
        for value in good {
            assert!(setting.accepts(value), "{setting:?} {value}");
        }
        for value in bad {
            assert!(!setting.accepts(value), "{setting:?} {value}");
        }
    }
    assert!(!Setting::SnmpCommunity.accepts(&long));
}

#[test]
fn a_service_is_found_by_its_url() {
    let found = RedfishHost::parse("https://10.0.0.9:8443/").unwrap();
    assert_eq!(
        (found.host, found.https, found.port),
        ("10.0.0.9:8443", true, 8443)
    );
    let found = RedfishHost::parse("http://10.0.0.9").unwrap();
    assert_eq!(
        (found.host, found.https, found.port),
        ("10.0.0.9", false, 80)
    );
}
