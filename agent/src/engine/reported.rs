//! The devices that an inspection has reported. What is there later and was not
//! reported, nobody has proven empty; so orders that prove something compare.

use farrier_protocol::message::Inspection;

/// The devices of an inspection, without those that hold no data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// One text for each device.
    devices: Vec<String>,
    settled: bool,
}

impl Reported {
    /// Returns the devices of an inspection.
    pub fn of(inspection: &Inspection) -> Self {
        let disks = inspection
            .disks
            .iter()
            .map(|disk| format!("disk {} of {} bytes", disk.id.serial, disk.id.size));
        let skipped = inspection
            .skipped
            .iter()
            .filter(|device| device.reason.is_unproven())
            .map(|device| {
                let reason = device.reason.as_str();
                format!("device {} of {} bytes ({reason})", device.id, device.size)
            });
        let controllers = inspection
            .controllers
            .iter()
            .map(|controller| format!("{} without a driver", controller.id));
        let unlisted = (inspection.unlisted > 0)
            .then(|| format!("{} devices that are not listed", inspection.unlisted));
        let mut devices: Vec<String> = disks
            .chain(skipped)
            .chain(controllers)
            .chain(unlisted)
            .collect();
        devices.sort();
        Self {
            devices,
            settled: inspection.settled,
        }
    }

    /// Returns how the devices that are there `now` differ from these, `None` if they
    /// are the same.
    pub fn difference(&self, now: &Self) -> Option<String> {
        if self.settled && !now.settled {
            return Some("the kernel initialises devices again".into());
        }
        if let Some(new) = beyond(&now.devices, &self.devices) {
            return Some(format!("{new} is new"));
        }
        beyond(&self.devices, &now.devices).map(|gone| format!("{gone} is gone"))
    }
}

/// Returns the first text of a sorted list that another one has not, or not as often.
fn beyond<'a>(all: &'a [String], others: &[String]) -> Option<&'a String> {
    let mut others = others.iter().peekable();
    all.iter().find(|text| {
        while others.next_if(|other| other < text).is_some() {}
        others.next_if(|other| other == text).is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(devices: &[&str]) -> Reported {
        Reported {
            devices: devices.iter().map(|text| (*text).into()).collect(),
            settled: true,
        }
    }

    #[test]
    fn every_difference_is_named() {
        let known = reported(&["a", "c"]);
        for (now, expected) in [
            (reported(&["a", "c"]), None),
            (reported(&["a", "b", "c"]), Some("b is new")),
            (reported(&["a", "c", "c"]), Some("c is new")),
            (reported(&["a", "c", "d"]), Some("d is new")),
            (reported(&["c"]), Some("a is gone")),
            (reported(&["a"]), Some("c is gone")),
            (reported(&[]), Some("a is gone")),
        ] {
            assert_eq!(known.difference(&now).as_deref(), expected);
        }
        let unsettled = Reported {
            settled: false,
            ..known.clone()
        };
        assert!(known.difference(&unsettled).is_some());
        assert_eq!(unsettled.difference(&known), None);
    }
}
