//! What the BMC is (20.1) and which machine it belongs to (22.14).

/// What a BMC says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceId {
    /// Number of the device, the maker's own.
    pub device: u8,
    /// Revision of the device, 0 to 15.
    pub revision: u8,
    /// Major and minor version of the firmware.
    pub firmware: (u8, u8),
    /// The firmware is being updated or started: few commands work.
    pub updating: bool,
    /// Version of IPMI, major and minor.
    pub ipmi: (u8, u8),
    /// Bits of what it has beside: sensors, SDR and SEL among others.
    pub functions: u8,
    /// Number of the maker, by IANA.
    pub manufacturer: u32,
    /// Number of the product, the maker's own.
    pub product: u16,
}

impl DeviceId {
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let head = data.first_chunk::<11>()?;
        let [
            device,
            revision,
            major,
            minor,
            ipmi,
            functions,
            m0,
            m1,
            m2,
            p0,
            p1,
        ] = *head;
        Some(Self {
            device,
            revision: revision & 0x0f,
            firmware: (
                major & 0x7f,
                (minor >> 4).wrapping_mul(10).wrapping_add(minor & 0x0f),
            ),
            updating: major & 0x80 != 0,
            ipmi: (ipmi & 0x0f, ipmi >> 4),
            functions,
            manufacturer: u32::from_le_bytes([m0, m1, m2 & 0x0f, 0]),
            product: u16::from_le_bytes([p0, p1]),
        })
    }

    /// The BMC has sensors and their descriptions.
    #[must_use]
    pub const fn has_sensors(&self) -> bool {
        self.functions & 3 != 0
    }

    /// The BMC has a log of events.
    #[must_use]
    pub const fn has_log(&self) -> bool {
        self.functions & 4 != 0
    }
}

/// The machine's GUID, as the BMC sends it.
///
/// IPMI wants it with its last byte first. Many BMCs send it as SMBIOS has it,
/// with the first three fields reversed, and others as RFC 9562 writes it. So one
/// GUID of a BMC names up to three UUIDs, and it names a machine if one of them is
/// the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SystemGuid(pub [u8; 16]);

/// An order of the bytes of a GUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuidOrder {
    /// The last byte first (IPMI 2.0, 20.8).
    Ipmi,
    /// The first three fields with their last byte first (SMBIOS 2.6 and newer).
    Smbios,
    /// As it is written (RFC 9562).
    Rfc9562,
}

impl SystemGuid {
    /// The UUID, as RFC 9562 writes it, if the BMC sends it in this order.
    #[must_use]
    pub const fn uuid(self, order: GuidOrder) -> [u8; 16] {
        let [b0, b1, b2, b3, b4, b5, b6, b7, rest @ ..] = self.0;
        let [b8, b9, b10, b11, b12, b13, b14, b15] = rest;
        match order {
            GuidOrder::Rfc9562 => self.0,
            GuidOrder::Ipmi => [
                b15, b14, b13, b12, b11, b10, b9, b8, b7, b6, b5, b4, b3, b2, b1, b0,
            ],
            GuidOrder::Smbios => [
                b3, b2, b1, b0, b5, b4, b7, b6, b8, b9, b10, b11, b12, b13, b14, b15,
            ],
        }
    }

    /// The GUID that a BMC with this order sends for a UUID.
    #[must_use]
    pub const fn of(uuid: [u8; 16], order: GuidOrder) -> Self {
        // Each order is its own inverse.
        Self(Self(uuid).uuid(order))
    }

    /// The order in which the GUID is this UUID; `None` where it is another
    /// machine's.
    #[must_use]
    pub fn order_of(self, uuid: [u8; 16]) -> Option<GuidOrder> {
        [GuidOrder::Smbios, GuidOrder::Ipmi, GuidOrder::Rfc9562]
            .into_iter()
            .find(|order| self.uuid(*order) == uuid)
    }

    /// The BMC has none: all bytes are 0, or all are 255.
    #[must_use]
    pub fn is_unset(self) -> bool {
        self.0 == [0; 16] || self.0 == [0xff; 16]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_names_its_machine_in_each_order() {
        // The example of RFC 9562.
        let uuid = [
            0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x11, 0xd0, 0xa7, 0x65, 0x00, 0xa0, 0xc9, 0x1e,
            0x6b, 0xf6,
        ];
        let smbios = SystemGuid([
            0xae, 0x4f, 0x1d, 0xf8, 0xec, 0x7d, 0xd0, 0x11, 0xa7, 0x65, 0x00, 0xa0, 0xc9, 0x1e,
            0x6b, 0xf6,
        ]);
        let mut reversed = uuid;
        reversed.reverse();
        assert_eq!(smbios.order_of(uuid), Some(GuidOrder::Smbios));
        assert_eq!(
            SystemGuid(reversed).order_of(uuid),
            Some(GuidOrder::Ipmi),
            "IPMI's own order"
        );
        assert_eq!(SystemGuid(uuid).order_of(uuid), Some(GuidOrder::Rfc9562));
        for order in [GuidOrder::Smbios, GuidOrder::Ipmi, GuidOrder::Rfc9562] {
            assert_eq!(SystemGuid::of(uuid, order).order_of(uuid), Some(order));
            let mut other = uuid;
            other[9] ^= 1;
            assert_eq!(SystemGuid::of(other, order).order_of(uuid), None);
        }
        assert!(SystemGuid([0; 16]).is_unset() && !smbios.is_unset());
    }

    #[test]
    fn a_device_id_is_read() {
        // OpenIPMI's simulator: firmware 1.23, IPMI 2.0, maker 0x001291, product 0x0f02.
        let data = [0x20, 0x81, 1, 0x23, 2, 0x9f, 0x91, 0x12, 0, 2, 0xf];
        let id = DeviceId::parse(&data).expect("an ID");
        assert_eq!((id.firmware, id.ipmi, id.revision), ((1, 23), (2, 0), 1));
        assert_eq!((id.manufacturer, id.product), (0x1291, 0x0f02));
        assert!(id.has_sensors() && id.has_log() && !id.updating);
        assert_eq!(DeviceId::parse(&data[..10]), None);
    }
}
