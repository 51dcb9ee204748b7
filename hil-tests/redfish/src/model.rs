//! Models of BMCs as data: what a family of them has, allows and insists on. They
//! are shaped after public documents and reports, and are none of the products.

/// Where a resource's ETag stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Etags {
    /// Nowhere.
    None,
    /// In the head, strong.
    Strong,
    /// In the head, weak; only the strong form of it matches.
    WeakMatchedStrong,
    /// In the document alone (`@odata.etag`), weak, and matched as given.
    InDocument,
}

/// How the mode of the boot override is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It can be changed.
    Writable,
    /// A change that has it is refused.
    ReadOnly,
    /// A change without it sets it to Legacy.
    Needed,
}

/// Where temperatures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensors {
    /// `Thermal`.
    Thermal,
    /// `ThermalSubsystem` and its metrics.
    Metrics,
    /// A collection of `Sensor`.
    Collection,
}

/// A family of BMCs.
#[derive(Debug, Clone)]
pub struct Model {
    /// Name on the command line.
    pub name: &'static str,
    /// `Vendor` of the service root.
    pub vendor: Option<&'static str>,
    /// A member of `Oem` in the service root.
    pub oem: Option<&'static str>,
    /// `Manufacturer` of the system.
    pub manufacturer: &'static str,
    /// Identity of the first system; later ones have a number behind it.
    pub system: &'static str,
    /// Identity of the manager.
    pub manager: &'static str,
    /// Identity of the chassis.
    pub chassis: &'static str,
    /// Resets that are allowed.
    pub resets: &'static [&'static str],
    /// They are in an `ActionInfo` and not beside the action.
    pub action_info: bool,
    /// Boot targets that are allowed.
    pub targets: &'static [&'static str],
    /// It has `HttpBootUri`.
    pub http_uri: bool,
    /// ETags.
    pub etags: Etags,
    /// A change without `If-Match` is refused (428).
    pub if_match: bool,
    /// The boot override is changed at a settings object (`…/SD`).
    pub boot_in_settings: bool,
    /// The settings object of the system has the boot order, and no override.
    pub order_in_settings: bool,
    /// Members in one page of a collection; 0 for all.
    pub page: usize,
    /// The mode of the boot override.
    pub mode: Mode,
    /// Resets answer 202, and their task takes so many milliseconds.
    pub task_ms: Option<u64>,
    /// Answers are chunked.
    pub chunked: bool,
    /// Where temperatures are.
    pub sensors: Sensors,
    /// Virtual media belongs to the system and not to the manager.
    pub media_in_system: bool,
    /// Virtual media has actions; else it is changed itself.
    pub media_actions: bool,
    /// Inserting media needs the protocol; else it is refused.
    pub media_protocol: bool,
    /// Pending BIOS attributes need an apply time; else one is refused.
    pub apply_time: bool,
    /// It has sessions.
    pub sessions: bool,
    /// `Location` is a URL and not a path.
    pub absolute: bool,
    /// Successful changes answer 200 with an error that says success.
    pub says_success: bool,
}

const RESETS: &[&str] = &[
    "On",
    "ForceOff",
    "GracefulShutdown",
    "ForceRestart",
    "GracefulRestart",
    "Nmi",
    "PushPowerButton",
];

const TARGETS: &[&str] = &["None", "Pxe", "Hdd", "Cd", "Usb", "UefiHttp", "BiosSetup"];

/// A service by the book.
pub const STANDARD: Model = Model {
    name: "standard",
    vendor: None,
    oem: None,
    manufacturer: "Contoso",
    system: "1",
    manager: "bmc",
    chassis: "1U",
    resets: RESETS,
    action_info: false,
    targets: TARGETS,
    http_uri: true,
    etags: Etags::Strong,
    if_match: false,
    boot_in_settings: false,
    order_in_settings: false,
    page: 0,
    mode: Mode::Writable,
    task_ms: None,
    chunked: false,
    sensors: Sensors::Thermal,
    media_in_system: true,
    media_actions: true,
    media_protocol: false,
    apply_time: false,
    sessions: true,
    absolute: false,
    says_success: false,
};

/// Tasks, chunks, an ActionInfo, new sensors, a precondition for each change.
pub const MODERN: Model = Model {
    name: "modern",
    action_info: true,
    if_match: true,
    task_ms: Some(5_000),
    chunked: true,
    sensors: Sensors::Metrics,
    absolute: true,
    ..STANDARD
};

/// Shaped after iDRAC: jobs for BIOS attributes, no `HttpBootUri`.
pub const DELL: Model = Model {
    name: "dell",
    vendor: Some("Dell"),
    oem: Some("Dell"),
    manufacturer: "Dell Inc.",
    system: "System.Embedded.1",
    manager: "iDRAC.Embedded.1",
    chassis: "System.Embedded.1",
    http_uri: false,
    order_in_settings: true,
    etags: Etags::None,
    page: 2,
    apply_time: true,
    media_in_system: false,
    sensors: Sensors::Collection,
    ..STANDARD
};

/// Shaped after iLO: a mode that can't be written, success within an error.
pub const HPE: Model = Model {
    name: "hpe",
    vendor: Some("HPE"),
    oem: Some("Hpe"),
    manufacturer: "HPE",
    manager: "1",
    chassis: "1",
    resets: &[
        "On",
        "ForceOff",
        "ForceRestart",
        "Nmi",
        "PushPowerButton",
        "GracefulShutdown",
    ],
    etags: Etags::WeakMatchedStrong,
    mode: Mode::ReadOnly,
    chunked: true,
    media_in_system: false,
    says_success: true,
    ..STANDARD
};

/// Shaped after Supermicro: the mode goes with each change, CDs are USB CDs.
pub const SUPERMICRO: Model = Model {
    name: "supermicro",
    oem: Some("Supermicro"),
    manufacturer: "Supermicro",
    manager: "1",
    targets: &["None", "Pxe", "Hdd", "Cd", "UsbCd", "UefiHttp", "BiosSetup"],
    mode: Mode::Needed,
    media_in_system: false,
    media_actions: false,
    ..STANDARD
};

/// Shaped after MegaRAC: changes at a settings object, with ETags in documents.
pub const AMI: Model = Model {
    name: "ami",
    vendor: Some("AMI"),
    oem: Some("Ami"),
    manufacturer: "Contoso",
    system: "Self",
    manager: "Self",
    chassis: "Self",
    etags: Etags::InDocument,
    if_match: true,
    boot_in_settings: true,
    media_in_system: false,
    media_protocol: true,
    ..STANDARD
};

/// All of them.
pub const MODELS: [&Model; 6] = [&STANDARD, &MODERN, &DELL, &HPE, &SUPERMICRO, &AMI];
