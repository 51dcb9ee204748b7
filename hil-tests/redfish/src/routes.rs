//! Which resource is at which path.

use serde_json::{Value, json};

use crate::documents::{self, ROOT, collection, link, resource};
use crate::service::Service;
use crate::system::System;

impl Service {
    /// The resource at a path, as it is shown at `now`.
    pub(crate) fn document(&mut self, path: &str, now: u64) -> Option<Value> {
        let rest = path.strip_prefix(ROOT)?;
        let parts: Vec<&str> = rest.split('/').skip(1).collect();
        let model = self.model.clone();
        Some(match *parts.as_slice() {
            [] => documents::root(self),
            ["Systems"] => {
                let path_of = |system: &System| format!("{ROOT}/Systems/{}", system.id);
                let members = self.systems.iter().map(path_of).collect();
                collection(path, "ComputerSystem", members)
            }
            ["Systems", id, ref rest @ ..] => {
                let mut systems = self.systems.iter_mut();
                let system = systems.find(|system| system.id == id)?;
                let (state, on) = system.view(now);
                match *rest {
                    [] => documents::system(&model, &system.id, &system.uuid, &state, on),
                    ["SD"] if model.order_in_settings => {
                        let boot = json!({"Boot": {"BootOrder": ["Boot0001", "Boot0000"]}});
                        resource(path, "ComputerSystem.v1_13_0.ComputerSystem", "SD", boot)
                    }
                    ["SD"] if model.boot_in_settings => {
                        let boot = json!({"Boot": documents::boot(&model, &state)});
                        resource(path, "ComputerSystem.v1_13_0.ComputerSystem", "SD", boot)
                    }
                    ["ResetActionInfo"] if model.action_info => {
                        documents::action_info(&model, path)
                    }
                    ["Bios"] => documents::bios(path, &state),
                    ["Bios", "Settings"] => documents::bios_settings(path, &state),
                    ["SecureBoot"] => documents::secure_boot(path, &state),
                    ["VirtualMedia"] if model.media_in_system => media_list(path),
                    ["VirtualMedia", "Floppy" | "Cd"] if model.media_in_system => {
                        documents::media(&model, path, &state)
                    }
                    _ => return None,
                }
            }
            ["Chassis"] => {
                let members = vec![format!("{ROOT}/Chassis/{}", model.chassis)];
                collection(path, "Chassis", members)
            }
            ["Chassis", id, ref rest @ ..] if id == model.chassis => match *rest {
                [] => documents::chassis(&model),
                ["Thermal"] => documents::thermal(path),
                ["ThermalSubsystem"] => {
                    let metrics = link(format!("{path}/ThermalMetrics"));
                    let rest = json!({"ThermalMetrics": metrics});
                    resource(
                        path,
                        "ThermalSubsystem.v1_0_0.ThermalSubsystem",
                        "Thermal",
                        rest,
                    )
                }
                ["ThermalSubsystem", "ThermalMetrics"] => documents::thermal_metrics(path),
                ["Sensors"] => {
                    let all = 0..=documents::TEMPERATURES.len();
                    let members = all.map(|at| format!("{path}/{at}")).collect();
                    collection(path, "Sensor", members)
                }
                ["Sensors", at] => documents::sensor(path, at.parse().ok()?)?,
                _ => return None,
            },
            ["Managers"] => {
                let members = vec![format!("{ROOT}/Managers/{}", model.manager)];
                collection(path, "Manager", members)
            }
            ["Managers", id, ref rest @ ..] if id == model.manager => match *rest {
                [] => documents::manager(&model),
                ["VirtualMedia"] if !model.media_in_system => media_list(path),
                ["VirtualMedia", "Floppy" | "Cd"] if !model.media_in_system => {
                    let (state, _) = self.systems.first_mut()?.view(now);
                    documents::media(&model, path, &state)
                }
                _ => return None,
            },
            ["SessionService"] if model.sessions => {
                let sessions = link(format!("{path}/Sessions"));
                let rest =
                    json!({"ServiceEnabled": true, "SessionTimeout": 1800, "Sessions": sessions});
                resource(
                    path,
                    "SessionService.v1_1_8.SessionService",
                    "Sessions",
                    rest,
                )
            }
            ["SessionService", "Sessions"] if model.sessions => {
                let ids = self.sessions.iter().map(|session| session.id);
                collection(
                    path,
                    "Session",
                    ids.map(|id| format!("{path}/{id}")).collect(),
                )
            }
            ["SessionService", "Sessions", id] => {
                let id: u32 = id.parse().ok()?;
                self.sessions.iter().find(|session| session.id == id)?;
                session(path, &self.user)
            }
            ["TaskService"] => {
                let tasks = link(format!("{path}/Tasks"));
                let rest = json!({"ServiceEnabled": true, "Tasks": tasks});
                resource(path, "TaskService.v1_2_0.TaskService", "Tasks", rest)
            }
            ["TaskService", "Tasks"] => {
                let ids = self.tasks.iter().map(|task| task.id);
                collection(path, "Task", ids.map(|id| format!("{path}/{id}")).collect())
            }
            _ => return None,
        })
    }
}

pub(crate) fn session(path: &str, user: &str) -> Value {
    resource(
        path,
        "Session.v1_3_0.Session",
        "Session",
        json!({"UserName": user}),
    )
}

fn media_list(path: &str) -> Value {
    let members = ["Floppy", "Cd"].map(|drive| format!("{path}/{drive}"));
    collection(path, "VirtualMedia", members.into())
}
