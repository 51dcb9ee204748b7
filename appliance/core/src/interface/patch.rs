//! Changes of several fields of a node in one command.

use super::{AdminFlag, CommandError, DriverKind, InstanceInfo, KeyValues};
use farrier_protocol::message::NodeId;

/// What is to become of one admin flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlagPatch<'a> {
    /// Set or cleared; `None` leaves it as it is.
    pub on: Option<bool>,
    /// The reason. Without one, a flag that is set
    /// has none.
    pub reason: Option<&'a str>,
}

impl FlagPatch<'_> {
    pub(crate) const fn is_none(&self) -> bool {
        self.on.is_none() && self.reason.is_none()
    }
}

/// New values of some fields of a node. `None` leaves a field as it is, an
/// empty text removes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodePatch<'a> {
    /// The name.
    pub name: Option<&'a str>,
    /// The resource class.
    pub resource_class: Option<&'a str>,
    /// The image that the next deployment brings.
    pub image_source: Option<&'a str>,
    /// The instance's name for people.
    pub display_name: Option<&'a str>,
    /// The instance's UUID; `Some(None)` removes it.
    pub instance_uuid: Option<Option<NodeId>>,
    /// [`AdminFlag::Maintenance`].
    pub maintenance: FlagPatch<'a>,
    /// [`AdminFlag::Protected`].
    pub protected: FlagPatch<'a>,
    /// [`AdminFlag::Retired`].
    pub retired: FlagPatch<'a>,
    /// The account that the node belongs to.
    pub owner: Option<&'a str>,
    /// The account that works with the node for a while.
    pub lessee: Option<&'a str>,
    /// What switches the machine.
    pub driver: Option<DriverKind>,
    /// Pairs whose keys begin with [`DRIVER_INFO`] are keys of `driver_info`
    /// and their values; an empty value removes the key. All others mean
    /// nothing.
    pub driver_info: KeyValues<'a>,
}

/// What the keys of `driver_info` begin with among the pairs of a command.
pub const DRIVER_INFO: &str = "driver_info/";

impl<'a> NodePatch<'a> {
    /// Another name.
    pub fn name(name: &'a str) -> Self {
        NodePatch {
            name: Some(name),
            ..Self::default()
        }
    }

    /// Another resource class.
    pub fn resource_class(class: &'a str) -> Self {
        NodePatch {
            resource_class: Some(class),
            ..Self::default()
        }
    }

    /// Another image.
    pub fn image_source(image: &'a str) -> Self {
        NodePatch {
            image_source: Some(image),
            ..Self::default()
        }
    }

    /// An admin flag that is set or cleared.
    pub fn flag(flag: AdminFlag, on: bool, reason: &'a str) -> Self {
        let mut patch = Self::default();
        let new = FlagPatch {
            on: Some(on),
            reason: Some(reason),
        };
        match flag {
            AdminFlag::Maintenance => patch.maintenance = new,
            AdminFlag::Protected => patch.protected = new,
            AdminFlag::Retired => patch.retired = new,
        }
        patch
    }

    /// Other values of keys of `driver_info`.
    pub fn driver_info(pairs: KeyValues<'a>) -> Self {
        NodePatch {
            driver_info: pairs,
            ..Self::default()
        }
    }

    pub(crate) fn flags(&self) -> [(AdminFlag, FlagPatch<'a>); 3] {
        [
            (AdminFlag::Maintenance, self.maintenance),
            (AdminFlag::Protected, self.protected),
            (AdminFlag::Retired, self.retired),
        ]
    }

    /// Whether it sets or clears the maintenance and changes nothing else.
    pub(crate) fn is_maintenance(&self) -> bool {
        let Self {
            name,
            resource_class,
            image_source,
            display_name,
            instance_uuid,
            maintenance: _,
            protected,
            retired,
            owner,
            lessee,
            driver,
            driver_info,
        } = self;
        name.is_none()
            && resource_class.is_none()
            && image_source.is_none()
            && display_name.is_none()
            && instance_uuid.is_none()
            && protected.is_none()
            && retired.is_none()
            && owner.is_none()
            && lessee.is_none()
            && driver.is_none()
            && driver_info_pairs(*driver_info).next().is_none()
    }

    /// What the instance becomes; `None` where it stays as it is.
    pub(crate) fn instance(
        &self,
        now: &InstanceInfo,
    ) -> Result<Option<InstanceInfo>, CommandError> {
        if self.image_source.is_none()
            && self.display_name.is_none()
            && self.instance_uuid.is_none()
        {
            return Ok(None);
        }
        let mut info = now.clone();
        if let Some(image) = self.image_source {
            info.image_source = image.try_into().map_err(|_| CommandError::TooLong)?;
        }
        if let Some(name) = self.display_name {
            info.display_name = name.try_into().map_err(|_| CommandError::TooLong)?;
        }
        if let Some(id) = self.instance_uuid {
            info.instance_uuid = id;
        }
        Ok(Some(info))
    }
}

/// A node that an operator enrols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewNode<'a> {
    /// Its identity.
    pub id: NodeId,
    /// Its name; empty for none.
    pub name: &'a str,
    /// Its serial number, by which its machine is known; empty for none.
    pub serial: &'a str,
    /// Its resource class; empty for none.
    pub resource_class: &'a str,
    /// The account that it belongs to; empty for none.
    pub owner: &'a str,
    /// What switches its machine.
    pub driver: DriverKind,
    /// As in [`NodePatch::driver_info`].
    pub driver_info: KeyValues<'a>,
}

impl NewNode<'_> {
    /// A node of which only the identity is known.
    pub const fn new(id: NodeId) -> Self {
        NewNode {
            id,
            name: "",
            serial: "",
            resource_class: "",
            owner: "",
            driver: DriverKind::Manual,
            driver_info: KeyValues(""),
        }
    }
}

/// The pairs of `driver_info`, without what their keys begin with.
pub(crate) fn driver_info_pairs(all: KeyValues<'_>) -> impl Iterator<Item = (&str, &str)> {
    all.iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(DRIVER_INFO)?, value)))
}
