//! The members of resources that are read, as numbers.

macro_rules! names {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// A member's name, or an element of an array.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Name {
            /// An element of an array.
            Item,
            /// None of those that are read.
            Other,
            $($name),*
        }

        impl Name {
            pub(crate) fn of(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    _ => Self::Other,
                }
            }
        }
    };
}

names! {
    ActionInfo = "@Redfish.ActionInfo",
    Actions = "Actions",
    AllowableValues = "AllowableValues",
    Attributes = "Attributes",
    Bios = "Bios",
    Boot = "Boot",
    BootEnabled = "BootSourceOverrideEnabled",
    BootMode = "BootSourceOverrideMode",
    BootTarget = "BootSourceOverrideTarget",
    BootTargets = "BootSourceOverrideTarget@Redfish.AllowableValues",
    Chassis = "Chassis",
    Code = "code",
    Device = "DeviceName",
    EjectMedia = "#VirtualMedia.EjectMedia",
    Error = "error",
    Etag = "@odata.etag",
    ExtendedInfo = "@Message.ExtendedInfo",
    Fans = "Fans",
    Health = "Health",
    HealthRollup = "HealthRollup",
    HttpBootUri = "HttpBootUri",
    Id = "@odata.id",
    Image = "Image",
    Inserted = "Inserted",
    InsertMedia = "#VirtualMedia.InsertMedia",
    Links = "Links",
    ManagedBy = "ManagedBy",
    Managers = "Managers",
    Manufacturer = "Manufacturer",
    MediaTypes = "MediaTypes",
    Members = "Members",
    Message = "Message",
    // iLO 4 and early iLO 5 write it so.
    MessageID = "MessageID",
    MessageId = "MessageId",
    Messages = "Messages",
    MessageSeverity = "MessageSeverity",
    MessageText = "message",
    Called = "Name",
    NextPage = "Members@odata.nextLink",
    Oem = "Oem",
    Parameters = "Parameters",
    PowerState = "PowerState",
    Product = "Product",
    Reading = "Reading",
    ReadingCelsius = "ReadingCelsius",
    ReadingType = "ReadingType",
    ReadingUnits = "ReadingUnits",
    Reset = "#ComputerSystem.Reset",
    ResetBios = "#Bios.ResetBios",
    ResetTypes = "ResetType@Redfish.AllowableValues",
    SecureBoot = "SecureBoot",
    SecureBootCurrent = "SecureBootCurrentBoot",
    SecureBootEnable = "SecureBootEnable",
    SecureBootMode = "SecureBootMode",
    Sensors = "Sensors",
    Sessions = "Sessions",
    Settings = "@Redfish.Settings",
    SettingsObject = "SettingsObject",
    Severity = "Severity",
    State = "State",
    Status = "Status",
    Systems = "Systems",
    Target = "target",
    TaskMonitor = "TaskMonitor",
    TaskState = "TaskState",
    TaskStatus = "TaskStatus",
    Temperatures = "Temperatures",
    TemperatureReadings = "TemperatureReadingsCelsius",
    Thermal = "Thermal",
    ThermalMetrics = "ThermalMetrics",
    ThermalSubsystem = "ThermalSubsystem",
    Thresholds = "Thresholds",
    UpperCritical = "UpperCritical",
    UpperThresholdCritical = "UpperThresholdCritical",
    Uuid = "UUID",
    Vendor = "Vendor",
    VirtualMedia = "VirtualMedia",
}
