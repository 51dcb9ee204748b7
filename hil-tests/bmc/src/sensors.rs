//! Sensors, as their records (43.1, 43.2) and their readings (35.14).

/// What a sensor reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A number, with thresholds.
    Number {
        /// The raw reading while the machine is on.
        on: u8,
        /// The same while it is off; `None` where there is none.
        off: Option<u8>,
        /// Number of its unit: 1 for degrees Celsius, 6 for watts, 18 for
        /// revolutions a minute.
        unit: u8,
        /// M of its conversion, −512 to 511.
        m: i16,
        /// Exponent of the result, −8 to 7.
        r_exponent: i8,
        /// Raw upper non-critical and critical threshold.
        limits: Option<(u8, u8)>,
    },
    /// States of its own, as bits.
    States(u16),
}

/// A sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorConfig {
    /// Its number.
    pub number: u8,
    /// Its name, of 16 bytes at the most.
    pub name: String,
    /// Its type: 1 temperature, 4 fan, 8 power supply.
    pub sensor_type: u8,
    /// Number of the part that it belongs to.
    pub entity: u8,
    /// What it reads.
    pub kind: Kind,
}

impl SensorConfig {
    /// What a server of two power supplies has, as little as tells its power,
    /// temperatures and faults.
    #[must_use]
    pub fn server() -> Vec<Self> {
        let number = |on, off, unit, (m, r_exponent), limits| Kind::Number {
            on,
            off,
            unit,
            m,
            r_exponent,
            limits,
        };
        let sensor = |number, name: &str, sensor_type, entity, kind| Self {
            number,
            name: name.to_owned(),
            sensor_type,
            entity,
            kind,
        };
        vec![
            sensor(
                1,
                "Inlet Temp",
                1,
                0x40,
                number(23, Some(21), 1, (1, 0), Some((42, 47))),
            ),
            sensor(
                2,
                "CPU1 Temp",
                1,
                3,
                number(54, None, 1, (1, 0), Some((90, 98))),
            ),
            sensor(3, "Fan1", 4, 0x1d, number(84, Some(0), 18, (100, 0), None)),
            sensor(
                4,
                "Pwr Consumption",
                0x0b,
                0x13,
                number(31, Some(1), 6, (7, 0), None),
            ),
            sensor(5, "12V", 2, 7, number(203, Some(0), 4, (59, -3), None)),
            sensor(6, "PS1 Status", 8, 0x0a, Kind::States(1)),
            sensor(7, "PS2 Status", 8, 0x0a, Kind::States(1)),
        ]
    }

    /// Its record.
    #[must_use]
    pub(crate) fn record(&self, id: u16) -> Vec<u8> {
        let [id_low, id_high] = id.to_le_bytes();
        let name = &self.name.as_bytes()[..self.name.len().min(16)];
        let mut record = match &self.kind {
            Kind::Number { .. } => vec![0; 48],
            Kind::States(_) => vec![0; 32],
        };
        record[..3].copy_from_slice(&[id_low, id_high, 0x51]);
        record[5] = 0x20;
        record[7] = self.number;
        record[8] = self.entity;
        record[9] = 1;
        // Scanned, and events on.
        record[10] = 0x7f;
        record[12] = self.sensor_type;
        match &self.kind {
            Kind::Number {
                on,
                unit,
                m,
                r_exponent,
                limits,
                ..
            } => {
                record[3] = 1;
                record[11] = 0x68;
                record[13] = 1;
                record[21] = *unit;
                let [m_low, m_high] = m.to_le_bytes();
                record[24] = m_low;
                record[25] = m_high << 6;
                record[29] = r_exponent.cast_unsigned() << 4;
                // The nominal reading is given.
                record[30] = 1;
                record[31] = *on;
                record[34] = 0xff;
                if let Some((warning, critical)) = limits {
                    // They can be read, and lead to events.
                    record[14] = 0x80;
                    record[15] = 2;
                    record[18] = 0x18;
                    record[37] = *critical;
                    record[38] = *warning;
                }
            }
            Kind::States(_) => {
                record[3] = 2;
                record[11] = 0x40;
                record[13] = 0x6f;
                record[14] = 0x0b;
                record[18] = 0x0b;
                record[20] = 0xc0;
                record[23] = 1;
            }
        }
        let at = record.len() - 1;
        record[at] = 0xc0 | u8::try_from(name.len()).unwrap_or(0);
        record.extend(name);
        record[4] = u8::try_from(record.len() - 5).unwrap_or(0);
        record
    }

    /// The data of its reading.
    #[must_use]
    pub(crate) fn reading(&self, on: bool) -> Vec<u8> {
        match &self.kind {
            Kind::Number {
                on: raw,
                off,
                limits,
                ..
            } => {
                let Some(raw) = (match on {
                    true => Some(*raw),
                    false => *off,
                }) else {
                    return vec![0, 0xe0, 0xc0];
                };
                let beyond = |limit: u8, bit: u8| if raw >= limit { bit } else { 0 };
                let states = limits.map_or(0, |(warning, critical)| {
                    beyond(warning, 8) | beyond(critical, 0x10)
                });
                vec![raw, 0xc0, 0xc0 | states]
            }
            Kind::States(states) => {
                let [low, high] = states.to_le_bytes();
                vec![0, 0xc0, low, high | 0x80]
            }
        }
    }
}
