//! Names of elements and namespaces as numbers. The reader turns each name into
//! one of these, so that the path of an element is a short slice of numbers. A
//! name that is not in the list is [`Name::Other`].

macro_rules! names {
    ($($variant:ident = $text:literal,)*) => {
        /// The local name of an element that this crate knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are their own description")]
        #[repr(u8)]
        pub enum Name {
            /// Any other name.
            Other,
            $($variant,)*
        }

        impl Name {
            /// Returns the number of a local name.
            #[must_use]
            pub fn of(text: &str) -> Self {
                // A loop over a table is a tenth of the code of a match.
                let mut known = Self::ALL.iter().copied();
                known.find(|name| name.text() == text).unwrap_or(Self::Other)
            }

            const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the local name; empty for [`Name::Other`].
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    Self::Other => "",
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

names! {
    // RFC 6241.
    Hello = "hello",
    Capabilities = "capabilities",
    Capability = "capability",
    SessionId = "session-id",
    Rpc = "rpc",
    RpcReply = "rpc-reply",
    RpcError = "rpc-error",
    ErrorType = "error-type",
    ErrorTag = "error-tag",
    ErrorSeverity = "error-severity",
    ErrorAppTag = "error-app-tag",
    ErrorPath = "error-path",
    ErrorMessage = "error-message",
    ErrorInfo = "error-info",
    BadElement = "bad-element",
    Ok = "ok",
    Data = "data",
    Lock = "lock",
    Unlock = "unlock",
    Target = "target",
    Source = "source",
    Candidate = "candidate",
    Running = "running",
    Filter = "filter",
    Get = "get",
    GetConfig = "get-config",
    EditConfig = "edit-config",
    DefaultOperation = "default-operation",
    TestOption = "test-option",
    ErrorOption = "error-option",
    Config = "config",
    Validate = "validate",
    Commit = "commit",
    Confirmed = "confirmed",
    ConfirmTimeout = "confirm-timeout",
    Persist = "persist",
    PersistId = "persist-id",
    CancelCommit = "cancel-commit",
    DiscardChanges = "discard-changes",
    CloseSession = "close-session",
    // Junos.
    CommitSuccess = "commit-success",
    Configuration = "configuration",
    Interfaces = "interfaces",
    Interface = "interface",
    Name = "name",
    Description = "description",
    Unit = "unit",
    Family = "family",
    EthernetSwitching = "ethernet-switching",
    PortMode = "port-mode",
    InterfaceMode = "interface-mode",
    NativeVlanId = "native-vlan-id",
    Vlan = "vlan",
    Members = "members",
    Vlans = "vlans",
    VlanId = "vlan-id",
    GetEthernetSwitchingTable = "get-ethernet-switching-table-information",
    EthernetSwitchingTableInformation = "ethernet-switching-table-information",
    EthernetSwitchingTable = "ethernet-switching-table",
    MacTableEntry = "mac-table-entry",
    MacVlan = "mac-vlan",
    MacAddress = "mac-address",
    MacInterfacesList = "mac-interfaces-list",
    MacInterfaces = "mac-interfaces",
    L2ngMacdb = "l2ng-l2ald-rtb-macdb",
    L2ngEntryVlan = "l2ng-l2ald-mac-entry-vlan",
    L2ngEntry = "l2ng-mac-entry",
    L2ngVlanName = "l2ng-l2-mac-vlan-name",
    L2ngAddress = "l2ng-l2-mac-address",
    L2ngInterface = "l2ng-l2-mac-logical-interface",
    GetLldpNeighbors = "get-lldp-neighbors-information",
    LldpNeighborsInformation = "lldp-neighbors-information",
    LldpNeighborInformation = "lldp-neighbor-information",
    LldpLocalInterface = "lldp-local-interface",
    LldpLocalPortId = "lldp-local-port-id",
    LldpRemoteChassisId = "lldp-remote-chassis-id",
    LldpRemotePortId = "lldp-remote-port-id",
    LldpRemotePortDescription = "lldp-remote-port-description",
    LldpRemoteSystemName = "lldp-remote-system-name",
    GetInterfaceInformation = "get-interface-information",
    InterfaceInformation = "interface-information",
    PhysicalInterface = "physical-interface",
    InterfaceName = "interface-name",
    OperStatus = "oper-status",
    // OpenConfig.
    Ethernet = "ethernet",
    SwitchedVlan = "switched-vlan",
    NativeVlan = "native-vlan",
    AccessVlan = "access-vlan",
    TrunkVlans = "trunk-vlans",
    NetworkInstances = "network-instances",
    NetworkInstance = "network-instance",
    Fdb = "fdb",
    MacTable = "mac-table",
    Entries = "entries",
    Entry = "entry",
    State = "state",
    InterfaceRef = "interface-ref",
    Lldp = "lldp",
    Neighbors = "neighbors",
    Neighbor = "neighbor",
    ChassisId = "chassis-id",
    PortId = "port-id",
    PortDescription = "port-description",
    SystemName = "system-name",
    // IETF interfaces with the IEEE bridge's augmentation.
    BridgePort = "bridge-port",
    Pvid = "pvid",
}

macro_rules! namespaces {
    ($($(#[$doc:meta])* $variant:ident = $uri:literal,)*) => {
        /// A namespace that this crate knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Namespace {
            /// No namespace: no default one is declared.
            None,
            /// Any other namespace.
            Other,
            $($(#[$doc])* $variant,)*
        }

        impl Namespace {
            /// Returns the number of a namespace's URI.
            #[must_use]
            pub fn of(uri: &str) -> Self {
                match uri {
                    "" => Self::None,
                    $($uri => Self::$variant,)*
                    _ => Self::Other,
                }
            }

            /// Returns the URI; empty for [`Namespace::None`] and
            /// [`Namespace::Other`].
            #[must_use]
            pub const fn uri(self) -> &'static str {
                match self {
                    Self::None | Self::Other => "",
                    $(Self::$variant => $uri,)*
                }
            }
        }
    };
}

namespaces! {
    /// NETCONF 1.0 and 1.1 (RFC 6241, section 3.1).
    Base = "urn:ietf:params:xml:ns:netconf:base:1.0",
    /// Junos' configuration.
    Junos = "http://xml.juniper.net/xnm/1.1/xnm",
    /// openconfig-interfaces.
    OpenConfigInterfaces = "http://openconfig.net/yang/interfaces",
    /// openconfig-if-ethernet.
    OpenConfigEthernet = "http://openconfig.net/yang/interfaces/ethernet",
    /// openconfig-vlan.
    OpenConfigVlan = "http://openconfig.net/yang/vlan",
    /// openconfig-network-instance.
    OpenConfigNetworkInstance = "http://openconfig.net/yang/network-instance",
    /// openconfig-lldp.
    OpenConfigLldp = "http://openconfig.net/yang/lldp",
    /// ietf-interfaces (RFC 8343).
    IetfInterfaces = "urn:ietf:params:xml:ns:yang:ietf-interfaces",
    /// ieee802-dot1q-bridge.
    IeeeBridge = "urn:ieee:std:802.1Q:yang:ieee802-dot1q-bridge",
}
