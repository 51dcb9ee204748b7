//! Commands about switches, the ports that interfaces are in, and the tenants'
//! networks that they are for.

use super::check_word;
use crate::interface::{
    CommandError, Effects, Instant, NewLogin, NewOptions, PortName, SWITCH_PASSWORD_LEN,
    SWITCH_USER_LEN, String, SwitchAddress, Uses,
};
use crate::node::deployed;
use crate::persist::record::Record;
use crate::ports::{MAX_SWITCHES, Password, Sources, Switch};
use crate::rack::{Rack, edit};
use crate::strings::{Kind, RACK, StringPool};
use farrier_protocol::message::Mac;

type SwitchUser = String<SWITCH_USER_LEN>;
type SwitchPassword = String<SWITCH_PASSWORD_LEN>;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    pub(crate) fn set_switch(
        &mut self,
        name: &str,
        address: SwitchAddress,
        (login, options): (&NewLogin<'_>, &NewOptions<'_>),
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        check_word(name)?;
        let trunk_port = options.trunk_port.map(port_name).transpose()?;
        let user = login.user.map(SwitchUser::try_from).transpose();
        let password = login.password.map(SwitchPassword::try_from).transpose();
        let (Ok(user), Ok(password)) = (user, password) else {
            return Err(CommandError::TooLong);
        };
        let graphic = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if user.as_ref().is_some_and(|user| !graphic(user))
            || password.as_ref().is_some_and(|text| text.contains('\0'))
        {
            return Err(CommandError::BadName);
        }
        if (user.is_some() || password.is_some()) && !self.sealing.is_ready() {
            return Err(CommandError::NoBoardKey);
        }
        let place = match self.texts.find_switch(name) {
            Some(place) => place,
            None => (0..MAX_SWITCHES as u8)
                .find(|place| self.ports.switch(*place).is_none())
                .ok_or(CommandError::SwitchesFull)?,
        };
        if StringPool::cost(name.len()) > self.texts.free() {
            return Err(CommandError::StringsFull);
        }
        self.texts
            .set(usize::from(RACK), Kind::Switch(place), name)?;
        if self.ports.switch(place).is_none() {
            let known = self.ports.switches.push(Switch::new(place, address));
            known.map_err(|_| CommandError::SwitchesFull)?;
        }
        Record::Switch {
            place,
            name,
            kind: address.kind as u8,
            address: address.address,
            port: address.port,
        }
        .emit(out);
        if let Some(switch) = self.ports.switch_mut(place) {
            switch.address = address;
            let before = (switch.makes_vlans, switch.trunk_port.clone());
            switch.makes_vlans = options.makes_vlans.unwrap_or(before.0);
            if let Some(trunk_port) = trunk_port {
                switch.trunk_port = trunk_port;
            }
            if before != (switch.makes_vlans, switch.trunk_port.clone()) {
                Record::of_switch_options(switch).emit(out);
            }
            let before = (switch.user.clone(), switch.password.clone());
            if let Some(user) = user {
                switch.user = user;
            }
            if let Some(password) = password {
                switch.password = Password(password);
            }
            if switch.user.is_empty() {
                switch.password = Password::default();
            }
            if let Some(host_key) = login.host_key {
                switch.host_key = host_key;
                switch.host_key_met = None;
            }
            if !before.1.0.is_empty() && before.1 != switch.password {
                self.sealing.note_end();
            }
            let differs = before != (switch.user.clone(), switch.password.clone());
            if differs && let Some(record) = self.switch_login_record(place) {
                record.emit(out);
            }
            if login.host_key.is_some()
                && let Some(record) = self.switch_host_key_record(place)
            {
                record.emit(out);
            }
        }
        // What has failed is tried again at once.
        for port in &mut self.ports.ports {
            if port.switch == place {
                port.control.retry_at = Instant::START;
                port.control.failures = 0;
            }
        }
        self.ports_due = Instant::START;
        Ok(())
    }

    pub(crate) fn remove_switch(
        &mut self,
        name: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let place = self
            .texts
            .find_switch(name)
            .ok_or(CommandError::NoSuchSwitch)?;
        if self.ports.all().iter().any(|port| port.switch == place) {
            return Err(CommandError::SwitchInUse);
        }
        let switch = self.ports.switch(place).cloned();
        self.ports.switches.retain(|known| known.place != place);
        self.texts.set(usize::from(RACK), Kind::Switch(place), "")?;
        if let Some(Switch {
            address, password, ..
        }) = switch
        {
            if !password.0.is_empty() {
                self.sealing.note_end();
            }
            Record::Switch {
                place,
                name: "",
                kind: address.kind as u8,
                address: address.address,
                port: address.port,
            }
            .emit(out);
        }
        Ok(())
    }

    /// Says which port of which switch an interface is in.
    pub(crate) fn link_port(
        &mut self,
        mac: Mac,
        switch: &str,
        port: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let index = self.find_by_mac(mac).ok_or(CommandError::NoSuchPort)?;
        let link = self.check_link(mac, switch, port)?;
        // Who says the same again moves nothing, and a tenant's machine may be shut.
        let known = self.ports.of(mac);
        let is_same = known
            .zip(link.as_ref())
            .is_some_and(|(known, link)| (known.switch, &known.name) == (link.0, &link.1));
        if !is_same {
            self.check_links_free(index)?;
        }
        let Some((switch, name)) = link else {
            self.forget_switch_port(mac, out);
            return Ok(());
        };
        let unsure = self.doubt(mac).is_some();
        let port = self.ports.put(mac, switch, name);
        let port = port.ok_or(CommandError::SwitchPortsFull)?;
        // Who says the same again has seen why the port was not moved.
        let again = unsure && port.sources.contains(Sources::OPERATOR);
        port.sources.insert(Sources::OPERATOR);
        port.sources.set(
            Sources::OPERATOR_AGAIN,
            again || port.sources.contains(Sources::OPERATOR_AGAIN),
        );
        let opens = port.sources.contains(Sources::SHUT);
        port.sources.remove(Sources::STOPS);
        port.control.told = false;
        if opens && let Some(node) = edit!(self, index) {
            node.last_error.clear();
        }
        self.ports_due = Instant::START;
        self.write_port(mac, out);
        Ok(())
    }

    /// Whether an interface may be in this port; `None` for no switch.
    pub(crate) fn check_link(
        &self,
        mac: Mac,
        switch: &str,
        port: &str,
    ) -> Result<Option<(u8, PortName)>, CommandError> {
        if switch.is_empty() {
            return Ok(None);
        }
        let switch = self
            .texts
            .find_switch(switch)
            .ok_or(CommandError::NoSuchSwitch)?;
        let name = port_name(port)?;
        if name.is_empty() {
            return Err(CommandError::BadName);
        }
        let mut others = self.ports.all().iter();
        if others.any(|known| known.mac != mac && known.switch == switch && known.name == name) {
            return Err(CommandError::PortTaken);
        }
        if self.ports.of(mac).is_none() && self.ports.is_full() {
            return Err(CommandError::SwitchPortsFull);
        }
        Ok(Some((switch, name)))
    }

    /// An interface is in no known port of a switch any more. The switch keeps the
    /// port as it is.
    pub(crate) fn forget_switch_port(&mut self, mac: Mac, out: &mut Effects) {
        let Some(port) = self.ports.of(mac) else {
            return;
        };
        Record::SwitchPort {
            slot: port.slot,
            mac,
            switch: 0,
            name: "",
            vif: 0,
            at: 0,
            to: 0,
            token: 0,
            sources: 0,
            heard: [0; 2],
            group: 0,
        }
        .emit(out);
        self.ports.ports.retain(|port| port.mac != mac);
    }

    /// The first free interface of a node is for a tenants' network from now on,
    /// with an address of its pool.
    pub(crate) fn attach_vif(
        &mut self,
        now: Instant,
        index: usize,
        name: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let network = self.tenants_network(name)?;
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        if deployed(node.state) {
            return Err(CommandError::InUse(node.state));
        }
        if self.ports_of(index).next().is_none() {
            return Err(CommandError::NoSwitchPort);
        }
        let free = self.ports_of(index).find(|port| port.vif == 0);
        let mac = free.map(|port| (port.mac, self.ports.tenants_address(port)));
        let (mac, address) = mac.ok_or(CommandError::NoFreePort)?;
        self.give_address(now, name, address, None, out)?;
        self.set_vif(mac, network, out);
        Ok(())
    }

    pub(crate) fn detach_vif(
        &mut self,
        now: Instant,
        index: usize,
        name: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let network = self.tenants_network(name)?;
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        if deployed(node.state) {
            return Err(CommandError::InUse(node.state));
        }
        let found = self.ports_of(index).find(|port| port.vif == network);
        let mac = found.map(|port| (port.mac, self.ports.tenants_address(port)));
        let (mac, address) = mac.ok_or(CommandError::NoSuchVif)?;
        let _had_none = self.take_address(now, name, address, out);
        self.set_vif(mac, 0, out);
        Ok(())
    }

    /// Says which tenants' network an interface is for, and with it all of its group.
    fn set_vif(&mut self, mac: Mac, network: u8, out: &mut Effects) {
        let group = self.ports.of(mac).map_or(0, |port| port.group);
        for port in &mut self.ports.ports {
            if port.mac == mac || group != 0 && port.group == group {
                port.vif = network;
                Record::of_switch_port(port).emit(out);
            }
        }
    }

    /// The place of a network of tenants.
    fn tenants_network(&self, name: &str) -> Result<u8, CommandError> {
        let place = self
            .texts
            .find_network(name)
            .ok_or(CommandError::NoSuchNetwork)?;
        let mut networks = self.ipam.networks().iter();
        networks
            .any(|network| network.place == place && network.uses == Uses::TENANT)
            .then_some(place)
            .ok_or(CommandError::NoSuchNetwork)
    }
}

/// What a switch calls a port, or nothing.
fn port_name(text: &str) -> Result<PortName, CommandError> {
    let name = PortName::try_from(text).map_err(|_| CommandError::TooLong)?;
    let printable = name.bytes().all(|b| b.is_ascii_graphic());
    printable.then_some(name).ok_or(CommandError::BadName)
}
