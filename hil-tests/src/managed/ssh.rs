//! An SSH server whose subsystem `netconf` leads to a server on localhost.
//!
//! It is another implementation than the appliance's, so each judges the
//! other. Whoever it lets in gets the subsystem and nothing else.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session};
use russh::server::{PublicKeyOffer, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelId};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How long a wrong password is thought about.
const REJECTION: Duration = Duration::from_millis(200);

/// Who may come in. Clones are the same account.
#[derive(Debug, Clone)]
pub struct Account {
    user: String,
    password: String,
    keys: Arc<Mutex<Vec<PublicKey>>>,
}

impl Account {
    /// A user with a password and no keys.
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            keys: Arc::default(),
        }
    }

    /// Lets in whoever has the private key to this public one, a line of
    /// `authorized_keys`.
    ///
    /// # Errors
    /// It is no public key.
    pub fn authorize(&self, line: &str) -> Result<()> {
        let key =
            PublicKey::from_openssh(line).with_context(|| format!("the public key `{line}`"))?;
        self.keys().push(key);
        Ok(())
    }

    fn keys(&self) -> MutexGuard<'_, Vec<PublicKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, user: &str, key: &PublicKey) -> bool {
        // Comments may differ.
        let is = |known: &PublicKey| known.key_data() == key.key_data();
        user == self.user && self.keys().iter().any(is)
    }
}

/// A running server. Dropping it ends it and every connection.
pub struct SshServer {
    address: SocketAddr,
    host_key: PublicKey,
    stop: Arc<Notify>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl fmt::Debug for SshServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SshServer").field(&self.address).finish()
    }
}

impl SshServer {
    /// Starts a server on a free port of 127.0.0.1, with a new Ed25519 host
    /// key. Its subsystem is the server at `netconf`.
    ///
    /// # Errors
    /// The system's.
    pub fn start(account: &Account, netconf: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let host_key = new_key()?;
        let public = host_key.public_key().clone();
        let account = account.clone();
        let config = Arc::new(Config {
            keys: vec![host_key],
            auth_rejection_time: REJECTION,
            auth_rejection_time_initial: Some(Duration::ZERO),
            nodelay: true,
            ..Config::default()
        });
        let stop = Arc::new(Notify::new());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = {
            let stop = stop.clone();
            std::thread::Builder::new()
                .name("ssh-server".into())
                .spawn(move || {
                    runtime.spawn(accept(listener, config, account, netconf));
                    runtime.block_on(stop.notified());
                    // With it every task ends.
                    drop(runtime);
                })?
        };
        Ok(Self {
            address,
            host_key: public,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens on localhost.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its host key, as in a line of `known_hosts` behind the name.
    ///
    /// # Errors
    /// None that is known.
    pub fn host_key(&self) -> Result<String> {
        Ok(self.host_key.to_openssh()?)
    }

    /// Its host key as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        self.host_key.fingerprint(HashAlg::Sha256).to_string()
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by the panic hook.
            thread.join().ok();
        }
    }
}

/// A new Ed25519 key.
///
/// # Errors
/// The system has no random bytes.
pub fn new_key() -> Result<PrivateKey> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(Ed25519Keypair::from_seed(&seed).into())
}

async fn accept(listener: TcpListener, config: Arc<Config>, account: Account, netconf: SocketAddr) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    while let Ok((stream, _)) = listener.accept().await {
        let config = config.clone();
        let visitor = Visitor {
            account: account.clone(),
            netconf,
            channels: Vec::new(),
        };
        tokio::spawn(async move {
            // A client that breaks the protocol is its own affair.
            if let Ok(session) = run_stream(config, stream, visitor).await {
                session.await.ok();
            }
        });
    }
}

/// The server's side of one connection.
struct Visitor {
    account: Account,
    netconf: SocketAddr,
    /// Channels without a program.
    channels: Vec<Channel<Msg>>,
}

fn answer(good: bool) -> Auth {
    match good {
        true => Auth::Accept,
        false => Auth::reject(),
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        let good = user == self.account.user && password == self.account.password;
        Ok(answer(good))
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(answer(self.account.knows(user, offer.public_key)))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(answer(self.account.knows(user, key.public_key)))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.push(channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let place = self.channels.iter().position(|channel| channel.id() == id);
        let server = match place {
            Some(_) if name == "netconf" => TcpStream::connect(self.netconf).await.ok(),
            _ => None,
        };
        let (Some(place), Some(server)) = (place, server) else {
            return session.channel_failure(id);
        };
        let channel = self.channels.swap_remove(place);
        session.channel_success(id)?;
        tokio::spawn(carry(channel, server));
        Ok(())
    }
}

/// Moves bytes between a channel and the server, until the server ends.
async fn carry(channel: Channel<Msg>, server: TcpStream) {
    server.set_nodelay(true).ok();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut read, write) = channel.split();
    let to_client = async move {
        // A client that is gone ends it too.
        tokio::io::copy(&mut from_server, &mut write.make_writer())
            .await
            .ok();
        write.eof().await.ok();
        write.close().await.ok();
    };
    let from_client = async move {
        tokio::io::copy(&mut read.make_reader(), &mut to_server)
            .await
            .ok();
        to_server.shutdown().await.ok();
    };
    tokio::spawn(from_client);
    to_client.await;
}
