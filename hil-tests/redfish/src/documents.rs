//! The resources as documents.

use serde_json::{Value, json};

use crate::model::{Etags, Model, Sensors};
use crate::service::Service;
use crate::system::State;

pub(crate) const ROOT: &str = "/redfish/v1";

pub(crate) fn link(path: impl Into<String>) -> Value {
    json!({"@odata.id": path.into()})
}

/// A resource: what each has.
pub(crate) fn resource(path: &str, kind: &str, name: &str, rest: Value) -> Value {
    let id = path.trim_end_matches('/').rsplit('/').next().unwrap_or("");
    let mut document = json!({
        "@odata.id": path,
        "@odata.type": format!("#{kind}"),
        "Id": id,
        "Name": name,
    });
    if let (Some(document), Value::Object(rest)) = (document.as_object_mut(), rest) {
        document.extend(rest);
    }
    document
}

pub(crate) fn collection(path: &str, kind: &str, members: Vec<String>) -> Value {
    let count = members.len();
    let members: Vec<Value> = members.into_iter().map(link).collect();
    resource(
        path,
        &format!("{kind}Collection.{kind}Collection"),
        &format!("{kind} Collection"),
        json!({"Members@odata.count": count, "Members": members}),
    )
}

pub(crate) fn root(service: &Service) -> Value {
    let model = service.model();
    let mut root = resource(
        &format!("{ROOT}/"),
        "ServiceRoot.v1_9_0.ServiceRoot",
        "Root Service",
        json!({
            "Id": "RootService",
            "RedfishVersion": "1.11.0",
            "UUID": "92384634-2938-2342-8820-489239905423",
            "Systems": link(format!("{ROOT}/Systems")),
            "Chassis": link(format!("{ROOT}/Chassis")),
            "Managers": link(format!("{ROOT}/Managers")),
            "Tasks": link(format!("{ROOT}/TaskService")),
        }),
    );
    if let Some(vendor) = model.vendor {
        root["Vendor"] = json!(vendor);
    }
    if let Some(oem) = model.oem {
        root["Oem"] = json!({oem: {}});
    }
    if model.sessions {
        root["SessionService"] = link(format!("{ROOT}/SessionService"));
        root["Links"] = json!({"Sessions": link(format!("{ROOT}/SessionService/Sessions"))});
    }
    root
}

/// What is settable of the boot override.
pub(crate) fn boot(model: &Model, state: &State) -> Value {
    let boot = &state.boot;
    let mut document = json!({
        "BootSourceOverrideEnabled": boot.enabled,
        "BootSourceOverrideTarget": boot.target,
        "BootSourceOverrideTarget@Redfish.AllowableValues": model.targets,
        "BootSourceOverrideMode": boot.mode,
        "BootSourceOverrideMode@Redfish.AllowableValues": ["UEFI", "Legacy"],
    });
    if model.http_uri {
        document["HttpBootUri"] = json!(boot.http_uri);
    }
    document
}

pub(crate) fn system(model: &Model, id: &str, uuid: &str, state: &State, on: bool) -> Value {
    let path = format!("{ROOT}/Systems/{id}");
    let mut reset = json!({"target": format!("{path}/Actions/ComputerSystem.Reset")});
    match model.action_info {
        true => reset["@Redfish.ActionInfo"] = json!(format!("{path}/ResetActionInfo")),
        false => reset["ResetType@Redfish.AllowableValues"] = json!(model.resets),
    }
    let mut document = resource(
        &path,
        "ComputerSystem.v1_13_0.ComputerSystem",
        "System",
        json!({
            "SystemType": "Physical",
            "Manufacturer": model.manufacturer,
            "Model": "3500RX",
            "SerialNumber": "437XR1138R2",
            "UUID": uuid,
            "PowerState": if on { "On" } else { "Off" },
            "Status": {"State": "Enabled", "Health": "OK", "HealthRollup": "Warning"},
            "Boot": boot(model, state),
            "Bios": link(format!("{path}/Bios")),
            "SecureBoot": link(format!("{path}/SecureBoot")),
            "MemorySummary": {"TotalSystemMemoryGiB": 96, "Status": {"Health": "OK"}},
            "ProcessorSummary": {"Count": 2, "Model": "Multi-Core"},
            "Links": {
                "Chassis": [link(format!("{ROOT}/Chassis/{}", model.chassis))],
                "ManagedBy": [link(format!("{ROOT}/Managers/{}", model.manager))],
            },
            "Actions": {"#ComputerSystem.Reset": reset},
        }),
    );
    if model.boot_in_settings || model.order_in_settings {
        let settings = json!({
            "@odata.type": "#Settings.v1_3_0.Settings",
            "SettingsObject": link(format!("{path}/SD")),
        });
        document["@Redfish.Settings"] = settings;
    }
    if model.media_in_system {
        document["VirtualMedia"] = link(format!("{path}/VirtualMedia"));
    }
    document
}

pub(crate) fn action_info(model: &Model, path: &str) -> Value {
    // The values stand ahead of the name they belong to.
    let parameters = json!([
        {"AllowableValues": ["PowerCycle"], "Name": "Manner", "Required": false},
        {"AllowableValues": model.resets, "Name": "ResetType", "Required": true},
    ]);
    let rest = json!({"Parameters": parameters});
    resource(
        path,
        "ActionInfo.v1_1_2.ActionInfo",
        "Reset Action Info",
        rest,
    )
}

pub(crate) fn chassis(model: &Model) -> Value {
    let path = format!("{ROOT}/Chassis/{}", model.chassis);
    let mut chassis = resource(
        &path,
        "Chassis.v1_15_0.Chassis",
        "Chassis",
        json!({
            "ChassisType": "RackMount",
            "Status": {"State": "Enabled", "Health": "OK"},
            "Links": {"ManagedBy": [link(format!("{ROOT}/Managers/{}", model.manager))]},
        }),
    );
    match model.sensors {
        Sensors::Thermal => chassis["Thermal"] = link(format!("{path}/Thermal")),
        Sensors::Metrics => {
            chassis["Sensors"] = link(format!("{path}/Sensors"));
            chassis["ThermalSubsystem"] = link(format!("{path}/ThermalSubsystem"));
        }
        Sensors::Collection => chassis["Sensors"] = link(format!("{path}/Sensors")),
    }
    chassis
}

/// Name, thousandths of a degree, health.
pub(crate) const TEMPERATURES: [(&str, i32, &str); 2] = [
    ("CPU1 Temp", 41_500, "OK"),
    ("Inlet Temp", -3_250, "Warning"),
];

fn degrees(thousandths: i32) -> Value {
    json!(f64::from(thousandths) / 1000.0)
}

pub(crate) fn thermal(path: &str) -> Value {
    let rows: Vec<Value> = TEMPERATURES
        .iter()
        .enumerate()
        .map(|(at, (name, reading, health))| {
            json!({
                "@odata.id": format!("{path}#/Temperatures/{at}"),
                "MemberId": at.to_string(),
                "Name": name,
                "Status": {"State": "Enabled", "Health": health},
                "ReadingCelsius": degrees(*reading),
                "UpperThresholdCritical": 90,
            })
        })
        .collect();
    let fan = json!({
        "@odata.id": format!("{path}#/Fans/0"),
        "MemberId": "0",
        "Name": "Fan 1",
        "Reading": 5400,
        "ReadingUnits": "RPM",
        "Status": {"State": "Enabled", "Health": "Critical"},
    });
    let rest = json!({"Temperatures": rows, "Fans": [fan]});
    resource(path, "Thermal.v1_7_0.Thermal", "Thermal", rest)
}

pub(crate) fn thermal_metrics(path: &str) -> Value {
    let row = |(name, reading, _): &(&str, i32, &str)| json!({"DeviceName": name, "Reading": degrees(*reading), "DataSourceUri": "/x"});
    let rows: Vec<Value> = TEMPERATURES.iter().map(row).collect();
    let rest = json!({"TemperatureReadingsCelsius": rows});
    resource(
        path,
        "ThermalMetrics.v1_0_1.ThermalMetrics",
        "Metrics",
        rest,
    )
}

pub(crate) fn sensor(path: &str, at: usize) -> Option<Value> {
    let Some((name, reading, health)) = TEMPERATURES.get(at) else {
        let fan = json!({"ReadingType": "Rotational", "Reading": 5400});
        return (at == TEMPERATURES.len())
            .then(|| resource(path, "Sensor.v1_3_0.Sensor", "Fan 1", fan));
    };
    let rest = json!({
        "ReadingType": "Temperature",
        "Reading": degrees(*reading),
        "ReadingUnits": "Cel",
        "Status": {"State": "Enabled", "Health": health},
        "Thresholds": {"UpperCritical": {"Reading": 90}},
    });
    Some(resource(path, "Sensor.v1_3_0.Sensor", name, rest))
}

pub(crate) fn manager(model: &Model) -> Value {
    let path = format!("{ROOT}/Managers/{}", model.manager);
    let mut manager = resource(
        &path,
        "Manager.v1_12_0.Manager",
        "Manager",
        json!({"ManagerType": "BMC", "UUID": "58893887-8974-2487-2389-841168418919",
            "Status": {"State": "Enabled", "Health": "OK"}}),
    );
    if !model.media_in_system {
        manager["VirtualMedia"] = link(format!("{path}/VirtualMedia"));
    }
    manager
}

/// A drive: `Floppy` is always empty, and no place for CDs.
pub(crate) fn media(model: &Model, path: &str, state: &State) -> Value {
    let cd = path.ends_with("/Cd");
    let image = if cd { state.image.as_deref() } else { None };
    let mut media = resource(
        path,
        "VirtualMedia.v1_3_0.VirtualMedia",
        "Virtual Media",
        json!({
            "MediaTypes": if cd { ["CD", "DVD"] } else { ["Floppy", "USBStick"] },
            "Image": image,
            "ImageName": image,
            "Inserted": image.is_some(),
            "WriteProtected": true,
            "ConnectedVia": if image.is_some() { "URI" } else { "NotConnected" },
        }),
    );
    if model.media_actions {
        media["Actions"] = json!({
            "#VirtualMedia.InsertMedia":
                {"target": format!("{path}/Actions/VirtualMedia.InsertMedia")},
            "#VirtualMedia.EjectMedia":
                {"target": format!("{path}/Actions/VirtualMedia.EjectMedia")},
        });
    }
    media
}

pub(crate) fn bios(path: &str, state: &State) -> Value {
    let settings = json!({
        "@odata.type": "#Settings.v1_3_0.Settings",
        "SettingsObject": link(format!("{path}/Settings")),
    });
    let rest = json!({
        "AttributeRegistry": "BiosAttributeRegistry.v1_0_0",
        "Attributes": state.bios,
        "@Redfish.Settings": settings,
        "Actions": {"#Bios.ResetBios": {"target": format!("{path}/Actions/Bios.ResetBios")}},
    });
    resource(path, "Bios.v1_1_1.Bios", "BIOS", rest)
}

pub(crate) fn bios_settings(path: &str, state: &State) -> Value {
    let rest = json!({"Attributes": state.pending});
    resource(path, "Bios.v1_1_1.Bios", "Pending BIOS", rest)
}

pub(crate) fn secure_boot(path: &str, state: &State) -> Value {
    let now = if state.secure_boot_now {
        "Enabled"
    } else {
        "Disabled"
    };
    let rest = json!({
        "SecureBootEnable": state.secure_boot,
        "SecureBootCurrentBoot": now,
        "SecureBootMode": "UserMode",
    });
    resource(path, "SecureBoot.v1_1_0.SecureBoot", "Secure Boot", rest)
}

/// The ETag of a document, as it is shown.
pub(crate) fn etag(model: &Model, document: &Value) -> Option<String> {
    // FNV-1a: equal documents have equal tags.
    let hash = document
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    match model.etags {
        Etags::None => None,
        Etags::Strong => Some(format!("\"{hash:016x}\"")),
        Etags::WeakMatchedStrong | Etags::InDocument => Some(format!("W/\"{hash:016x}\"")),
    }
}
