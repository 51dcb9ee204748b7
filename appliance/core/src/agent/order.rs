//! What agents are ordered: made, numbered, signed.

use crate::interface::Effects;
use crate::interface::Instant;
use crate::node::Reason;
use crate::node::{Hop, Issued, Job};
use crate::rack::{Rack, edit};
use farrier_protocol::message::{ConfigDrive, Deploy, Order, Task};
use farrier_protocol::signing;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Makes the order for a job and signs it into `body`. An order that was
    /// given already and not answered yet is given again as it was.
    pub(super) fn sign(
        &mut self,
        now: Instant,
        index: usize,
        job: Job,
        body: &mut [u8],
        out: &mut Effects,
    ) -> Option<(usize, [u8; signing::SIGNATURE_LEN])> {
        let present = self.nodes.get(index)?.boot.order;
        let repeated = present.filter(|order| order.job == job);
        let batch = match (repeated, job) {
            (Some(order), _) => order.batch,
            (None, Job::Erase | Job::Reread) => self.begin_batch(index),
            (None, _) => 0,
        };
        let task = match job {
            Job::Inspect => Task::Inspect,
            Job::Reboot => Task::Reboot,
            Job::PowerOff => Task::PowerOff,
            Job::Erase => Task::Erase {
                disks: self.batch(index, batch)?,
                least: self.least_erase(index),
                seed: self.erase_seed(index, job)?,
            },
            Job::Reread => Task::Reread {
                disks: self.batch(index, batch)?,
                seed: self.erase_seed(index, job)?,
            },
            Job::Deploy => match self.deploy_task(index) {
                Ok(deploy) => {
                    self.image_ordered(index, out);
                    Task::Deploy(deploy)
                }
                Err(why) => {
                    self.warn(index, why);
                    self.fail(now, index, Reason::OrderFailed, out);
                    return None;
                }
            },
        };
        let node = edit!(self, index)?;
        let secrets = self.secrets.as_ref()?;
        let counter = match repeated {
            Some(order) => order.counter,
            None => node.boot.last_order.checked_add(1)?,
        };
        let order = Order {
            node: node.id,
            boot: node.boot.id,
            counter,
            task,
        };
        let (encoded, signature) = signing::sign_order(&secrets.orders, &order, body).ok()?;
        let len = encoded.len();
        if repeated.is_none() {
            node.boot.progress = None;
            node.boot.last_order = counter;
            node.boot.order = Some(Issued {
                counter,
                job,
                batch,
            });
        }
        node.timeline.mark(Hop::Order, now);
        Some((len, signature))
    }

    fn deploy_task(&self, index: usize) -> Result<Deploy, &'static str> {
        let node = self.nodes.get(index).ok_or("no such node")?;
        let image = self
            .image_of(index)
            .ok_or("the image is not in the asset store any more")?;
        self.check_image(image)
            .map_err(|_| "the image is older than one that was deployed, or its key is revoked")?;
        let disk = self
            .target_disk(index, image.raw_size)
            .ok_or("the image is larger than every disk of the machine")?;
        let config_drive = match &node.config_drive {
            None => None,
            Some(drive) => Some(ConfigDrive {
                path: "/config-drive".try_into().map_err(|_| "path too long")?,
                length: drive.length,
                key: drive.key,
                format: drive.format,
            }),
        };
        Ok(Deploy {
            disk,
            manifest_root: image.root,
            manifest_path: image.manifest_path.clone(),
            data_path: image.data_path.clone(),
            config_drive,
        })
    }

    pub(super) fn image_of(&self, index: usize) -> Option<&crate::interface::Image> {
        self.image(&self.nodes.get(index)?.instance.image_source)
    }
}
