//! Outside programs that end with the rig, whatever ends the rig.
//!
//! Each program runs in a process group of its own, which is killed when its
//! [`Process`] is dropped. For the case that nothing is dropped any more (a
//! killed test run), `setpriv` from util-linux asks the kernel to kill the
//! program with its parent.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::Tools;

/// What a program prints that ends by itself.
///
/// # Errors
/// It can't be started, or it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A running program, alone in its process group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `command`. `configure` sets what can't be copied from it: its
    /// standard streams.
    ///
    /// # Errors
    /// `setpriv` is missing, or the program can't be started.
    pub fn start(
        tools: &Tools,
        command: &Command,
        configure: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let name = command.get_program().to_string_lossy().into_owned();
        let mut wrapped = tools("setpriv")?;
        wrapped
            .args(["--pdeathsig", "KILL", "--"])
            .arg(command.get_program())
            .args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(key, value),
                None => wrapped.env_remove(key),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            wrapped.current_dir(directory);
        }
        wrapped.process_group(0);
        configure(&mut wrapped);
        let child = spawn_for_good(wrapped).with_context(|| format!("starting {name}"))?;
        Ok(Self { child, name })
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it did.
    pub fn poll_exit(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("waiting for {}", self.name))
    }

    /// Waits until it ends by itself; none if it still runs after `wait`.
    pub fn wait_exit(&mut self, wait: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + wait;
        loop {
            let exit = self.poll_exit()?;
            if exit.is_some() || Instant::now() >= deadline {
                return Ok(exit);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it and whatever it started; no error if it is gone already.
    pub fn kill(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Neither can fail but for a process that is gone.
        if let Ok(raw) = i32::try_from(self.child.id())
            && let Some(group) = Pid::from_raw(raw)
        {
            kill_process_group(group, Signal::KILL).ok();
        }
        self.child.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

type Order = (Command, Sender<std::io::Result<Child>>);

/// Spawns from a thread that lives as long as this process does: the kernel's
/// "parent death" is the end of the spawning *thread*, and tests start
/// servers from threads that end early.
fn spawn_for_good(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in orders {
                // The one who asked waits; if it died, so may the child.
                reply.send(command.spawn()).ok();
            }
        });
        Mutex::new(sender)
    });
    let (reply, answer) = channel();
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, reply))
        .context("the spawning thread is gone")?;
    Ok(answer.recv().context("the spawning thread is gone")??)
}
