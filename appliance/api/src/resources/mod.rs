//! The resources, one file each.

use crate::resource::Route;

/// Declares the modules of resources and the table of their routes.
macro_rules! resources {
    ($($name:ident)*) => {
        $(pub(crate) mod $name;)*
        /// The routes of all resources.
        pub(crate) static TABLE: &[&[Route]] = &[$($name::ROUTES),*];
    };
}

// A path of one resource may be one of another's as well, where that has a
// parameter: the one that is named first gets the request.
resources! {
    versions
    nodes
    states
    provision
    power
    management
    rebind
    waivers
    erasure
    maintenance
    traits
    validate
    inventory
    history
    ports
    portgroups
    vifs
    allocations
    flavors
    networks
    relays
    switches
    addresses
    alarms
    images
    strangers
    accounts
    status
    drivers
    conductors
    unused
}
