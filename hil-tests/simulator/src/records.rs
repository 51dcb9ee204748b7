//! The durable records of a rack, to be compared over a restart.

use farrier_core::persist::record::{MAX_RECORD, Record};

/// Records as bytes, one after the other: they are compared far more often
/// than they are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Records {
    /// Adds a record, where it is one that is compared.
    pub(crate) fn add(&mut self, record: &[u8]) {
        let mut room = [0; MAX_RECORD];
        let record = match postcard::from_bytes::<Record<'_>>(record) {
            // What ends with the time alone starts its time anew at a restart.
            Ok(
                Record::Lease { .. }
                | Record::LeaseEnded { .. }
                | Record::Reservation {
                    quarantined: true, ..
                },
            ) => return,
            // How many requests a session has had is recorded now and then.
            Ok(mut work @ Record::Work { .. }) => {
                if let Record::Work { heard, .. } = &mut work {
                    *heard = 0;
                }
                postcard::to_slice(&work, &mut room).map_or(&[][..], |used| used)
            }
            _ => record,
        };
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins
            .zip(&self.ends)
            .map(|(begin, end)| &self.bytes[begin..*end])
    }

    /// Whether both are the same. What has no order of its own may come in
    /// another one.
    pub(crate) fn same_as(&self, other: &Records) -> bool {
        let sorted = |records: &Self| {
            let mut all: Vec<_> = records.iter().map(<[u8]>::to_vec).collect();
            all.sort_unstable();
            all
        };
        self == other || sorted(self) == sorted(other)
    }

    /// The first record that the other lacks, for people.
    pub(crate) fn without(&self, other: &Records) -> Option<String> {
        self.iter()
            .find(|fact| !other.iter().any(|found| found == *fact))
            .map(|fact| format!("{:?}", postcard::from_bytes::<Record<'_>>(fact)))
    }
}
