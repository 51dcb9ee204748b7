//! Sensors: what their records say of them (43.1, 43.2), what they read (35.14),
//! and readings as numbers (36.3), in integers.

/// Length of the longest record that is read whole, in bytes: a full one with a
/// name of 16.
pub const MAX_RECORD: usize = 64;

/// A raw reading as a number: y = (M·x + B·10^b)·10^r.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversion {
    format: u8,
    m: i16,
    b: i16,
    b_exponent: i8,
    r_exponent: i8,
}

const fn signed(value: u16, bits: u32) -> i16 {
    let shift = 16 - bits;
    (value << shift).cast_signed() >> shift
}

const fn power_of_ten(exponent: u8) -> i64 {
    let (mut power, mut left) = (1_i64, exponent);
    while left > 0 {
        power = power.saturating_mul(10);
        left -= 1;
    }
    power
}

impl Conversion {
    /// Reads the bytes 20 to 29 of a full record; `None` where its readings are
    /// no numbers or do not follow a straight line.
    fn parse(record: &[u8]) -> Option<Self> {
        let (head, _) = record.get(20..)?.split_first_chunk::<10>()?;
        let [units, _, _, line, m, m_high, b, b_high, _, exponents] = *head;
        let format = units >> 6;
        if line & 0x7f != 0 || format == 3 {
            return None;
        }
        let wide = |low: u8, high: u8| signed(u16::from(high >> 6) << 8 | u16::from(low), 10);
        Some(Self {
            format,
            m: wide(m, m_high),
            b: wide(b, b_high),
            b_exponent: signed(u16::from(exponents & 0x0f), 4) as i8,
            r_exponent: signed(u16::from(exponents >> 4), 4) as i8,
        })
    }

    /// The reading in thousandths of the sensor's unit, rounded to the nearest; the
    /// greatest number there is where it is beyond.
    #[must_use]
    pub const fn milli(self, raw: u8) -> i64 {
        let x = match self.format {
            // One's complement has two zeros.
            1 if raw & 0x80 != 0 => (raw as i8 as i64) + 1,
            1 | 2 => raw as i8 as i64,
            _ => raw as i64,
        };
        // Both terms in the smaller of their units: 10^low thousandths.
        let first = self.r_exponent + 3;
        let second = first + self.b_exponent;
        let low = if first < second { first } else { second };
        let sum = (self.m as i64 * x) * power_of_ten((first - low).unsigned_abs())
            + self.b as i64 * power_of_ten((second - low).unsigned_abs());
        let power = power_of_ten(low.unsigned_abs());
        if low >= 0 {
            let milli = sum.saturating_mul(power);
            // So that its absolute value is one, too.
            return if milli == i64::MIN { -i64::MAX } else { milli };
        }
        let half = power / 2;
        (if sum < 0 { sum - half } else { sum + half }) / power
    }
}

/// What a sensor measures in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// None, or a state.
    None,
    /// Degrees Celsius.
    Celsius,
    /// Degrees Fahrenheit.
    Fahrenheit,
    /// Kelvin.
    Kelvin,
    /// Volts.
    Volts,
    /// Amperes.
    Amperes,
    /// Watts.
    Watts,
    /// Revolutions a minute.
    Rpm,
    /// Hundredths of what there can be.
    Percent,
    /// Another unit of table 43-15.
    Other(u8),
}

impl Unit {
    const fn parse(units: u8, base: u8) -> Self {
        match base {
            _ if units & 1 != 0 => Self::Percent,
            0 => Self::None,
            1 => Self::Celsius,
            2 => Self::Fahrenheit,
            3 => Self::Kelvin,
            4 => Self::Volts,
            5 => Self::Amperes,
            6 => Self::Watts,
            18 => Self::Rpm,
            other => Self::Other(other),
        }
    }
}

/// Types of sensors that say of a machine what an operator wants to know first
/// (table 42-3).
pub mod sensor_type {
    /// A temperature.
    pub const TEMPERATURE: u8 = 1;
    /// A voltage.
    pub const VOLTAGE: u8 = 2;
    /// A current.
    pub const CURRENT: u8 = 3;
    /// A fan.
    pub const FAN: u8 = 4;
    /// A processor.
    pub const PROCESSOR: u8 = 7;
    /// A power supply.
    pub const POWER_SUPPLY: u8 = 8;
    /// The power of the machine.
    pub const POWER_UNIT: u8 = 9;
    /// Memory.
    pub const MEMORY: u8 = 0x0c;
    /// A drive bay.
    pub const DRIVE: u8 = 0x0d;
}

/// A sensor, as its record describes it. Compact records have neither a
/// conversion nor limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sensor<'a> {
    /// Its number.
    pub number: u8,
    /// Logical unit of the BMC that it is asked at.
    pub lun: u8,
    /// The BMC has it itself. Others' sensors can't be asked by this crate.
    pub of_bmc: bool,
    /// Its type; see [`sensor_type`].
    pub sensor_type: u8,
    /// Type of its readings: 1 for thresholds, 2 to 12 for general states, 0x6f
    /// for states of its own.
    pub reading_type: u8,
    /// Number of the part that it belongs to, as 3 for processors.
    pub entity: u8,
    /// Which of these parts.
    pub instance: u8,
    /// What its readings are in.
    pub unit: Unit,
    /// How its readings become numbers.
    pub conversion: Option<Conversion>,
    /// Raw thresholds: upper non-recoverable, critical, non-critical, then lower
    /// ones; those that the sensor has.
    pub limits: [Option<u8>; 6],
    /// Its name, where it is written in ASCII.
    pub name: &'a [u8],
}

impl<'a> Sensor<'a> {
    /// Reads a record; `None` for records of other kinds and short ones.
    #[must_use]
    pub fn parse(record: &'a [u8]) -> Option<Self> {
        let (head, _) = record.split_first_chunk::<23>()?;
        let [
            _,
            _,
            _,
            kind,
            _,
            owner,
            lun,
            number,
            entity,
            instance,
            _,
            _,
            sensor_type,
            reading_type,
            ..,
        ] = *head;
        let [.., mask, _, units, base, _] = *head;
        let (name_at, full) = match kind {
            1 => (47, true),
            2 => (31, false),
            _ => return None,
        };
        let coded = *record.get(name_at)?;
        let name = record.get(name_at + 1..)?;
        let conversion = (full && reading_type == 1)
            .then(|| Conversion::parse(record))
            .flatten();
        let mut limits = [None; 6];
        if conversion.is_some() {
            // The mask has the lower ones first, and each from the mildest on.
            let bits = [5, 4, 3, 2, 1, 0];
            for ((limit, raw), bit) in limits.iter_mut().zip(record.get(36..)?).zip(bits) {
                *limit = (mask >> bit & 1 != 0).then_some(*raw);
            }
        }
        Some(Self {
            number,
            lun: lun & 3,
            of_bmc: owner == crate::message::BMC,
            sensor_type,
            reading_type,
            entity,
            instance: instance & 0x7f,
            unit: Unit::parse(units, base),
            conversion,
            limits,
            name: match coded >> 6 {
                3 => name.get(..usize::from(coded & 0x1f)).unwrap_or(name),
                _ => &[],
            },
        })
    }
}

/// How a sensor with thresholds stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Health {
    /// Within its thresholds.
    Good,
    /// Beyond a non-critical one.
    Warning,
    /// Beyond a critical one.
    Critical,
    /// Beyond a non-recoverable one.
    Fatal,
}

/// What a sensor reads (35.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The raw reading; `None` where the sensor has none now, as when its part is
    /// off.
    pub raw: Option<u8>,
    /// States: of thresholds in the bits 0 to 5, others in the bits 0 to 14.
    pub states: u16,
}

impl Reading {
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let (raw, rest) = data.split_first()?;
        let flags = *rest.first()?;
        let low = rest.get(1).copied().unwrap_or(0);
        let high = rest.get(2).copied().unwrap_or(0) & 0x7f;
        // No reading yet, or no look at the sensor.
        let is_there = flags & 0x60 == 0x40;
        Some(Self {
            raw: is_there.then_some(*raw),
            states: match is_there {
                true => u16::from_le_bytes([low, high]),
                false => 0,
            },
        })
    }

    /// How a sensor whose reading type is 1 stands.
    #[must_use]
    pub const fn health(self) -> Health {
        match self.states & 0x3f {
            bits if bits & 0b10_0100 != 0 => Health::Fatal,
            bits if bits & 0b01_0010 != 0 => Health::Critical,
            bits if bits & 0b00_1001 != 0 => Health::Warning,
            _ => Health::Good,
        }
    }
}
