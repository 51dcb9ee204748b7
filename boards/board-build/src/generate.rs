//! What a description becomes: Rust source with constants, and the linker's
//! memory map.

use std::fmt::{Display, Write as _};

use crate::description::{Board, Buffers, Journal, Memory, Queues, Tables};

/// Constants as Rust source.
struct Source(String);

impl Source {
    fn new() -> Self {
        Self("// Made from board.toml by the build script.\n".to_owned())
    }

    fn put(&mut self, doc: &str, name: &str, kind: &str, value: impl Display) {
        let line = format!("/// {doc}\npub const {name}: {kind} = {value};\n");
        self.0.push_str(&line);
    }

    fn size(&mut self, doc: &str, name: &str, value: usize) {
        self.put(doc, name, "usize", value);
    }

    fn address(&mut self, doc: &str, name: &str, value: u32) {
        self.put(doc, name, "usize", format_args!("{value:#010x}"));
    }
}

/// Sizes of every table, queue and buffer: the constants of `farrier-sizes`.
pub fn sizes(board: &Board) -> String {
    let Tables {
        nodes,
        leases,
        disks,
        disk_share,
        networks,
        reservations,
        switches,
        switch_ports,
        images,
        flavors,
        string_pool,
        history,
        reassemblies,
        strangers,
        tftp_transfers,
        http_connections,
        accounts,
        sessions,
        login_sources,
        api_readers,
    } = board.tables;
    let Queues {
        dhcp_datagrams,
        agent_datagrams,
        replies,
        files,
        power,
        switch,
        driver_events,
        reports,
        tftp_requests,
        tftp_waiting,
        http_waiting,
    } = board.queues;
    let Buffers {
        http_receive,
        http_send,
        http_head,
        tftp_block,
        tftp_receive,
        tftp_listener,
        switch_receive,
        switch_send,
        store,
    } = board.buffers;
    let mut source = Source::new();
    let name = format!("{:?}", board.board.name);
    source.put("Name of the board.", "BOARD", "&str", name);
    for (doc, name, value) in [
        ("Servers in the rack.", "NODES", nodes),
        ("DHCP leases.", "LEASES", leases),
        ("Disks of all servers together.", "DISKS", disks),
        (
            "Disks of those that are kept for each server.",
            "DISK_SHARE",
            disk_share,
        ),
        ("Tenant networks.", "NETWORKS", networks),
        ("Reserved addresses.", "RESERVATIONS", reservations),
        ("Switches.", "SWITCHES", switches),
        ("Ports of switches.", "SWITCH_PORTS", switch_ports),
        ("Images in the catalogue.", "IMAGES", images),
        ("Flavors.", "FLAVORS", flavors),
        ("Bytes of the string pool.", "STRING_POOL", string_pool),
        ("Entries of each node's history.", "HISTORY", history),
        (
            "Reports of agents that are reassembled at once.",
            "REASSEMBLIES",
            reassemblies,
        ),
        (
            "Machines that boot and are no nodes.",
            "STRANGERS",
            strangers,
        ),
        ("TFTP transfers at once.", "TFTP_TRANSFERS", tftp_transfers),
        (
            "HTTP connections at once.",
            "HTTP_CONNECTIONS",
            http_connections,
        ),
        ("Accounts of operators.", "ACCOUNTS", accounts),
        (
            "Clients whose password was checked.",
            "OPERATOR_SESSIONS",
            sessions,
        ),
        (
            "Sources whose failed logins are remembered.",
            "LOGIN_SOURCES",
            login_sources,
        ),
        (
            "Requests of the API at once that only read.",
            "API_READERS",
            api_readers,
        ),
        (
            "DHCP messages that wait for the controller.",
            "DHCP_DATAGRAMS",
            dhcp_datagrams,
        ),
        (
            "Datagrams of agents that wait for the controller.",
            "AGENT_DATAGRAMS",
            agent_datagrams,
        ),
        (
            "Datagrams of raw UDP that wait for the driver.",
            "REPLIES",
            replies,
        ),
        (
            "Requests for a file that wait for the controller.",
            "FILE_REQUESTS",
            files,
        ),
        (
            "Power requests that wait for the driver.",
            "POWER_REQUESTS",
            power,
        ),
        (
            "Operations on ports that wait for the switches' driver.",
            "SWITCH_REQUESTS",
            switch,
        ),
        (
            "Events of drivers that wait for the controller.",
            "DRIVER_EVENTS",
            driver_events,
        ),
        (
            "Reports of agents that wait for the block device.",
            "REPORTS",
            reports,
        ),
        (
            "TFTP requests that wait for the listener.",
            "TFTP_REQUESTS",
            tftp_requests,
        ),
        (
            "TFTP requests that wait for a place.",
            "TFTP_WAITING",
            tftp_waiting,
        ),
        (
            "TCP connections that wait for a place of the HTTP server.",
            "HTTP_WAITING",
            http_waiting,
        ),
        (
            "Bytes of a HTTP connection's receive buffer.",
            "HTTP_RECEIVE",
            http_receive,
        ),
        (
            "Bytes of a HTTP connection's send buffer.",
            "HTTP_SEND",
            http_send,
        ),
        (
            "Bytes of a HTTP connection's head buffer.",
            "HTTP_HEAD",
            http_head,
        ),
        ("Bytes of the longest TFTP block.", "TFTP_BLOCK", tftp_block),
        (
            "Bytes of a TFTP transfer's receive buffer.",
            "TFTP_RECEIVE",
            tftp_receive,
        ),
        (
            "Bytes of the TFTP listener's receive buffer.",
            "TFTP_LISTENER",
            tftp_listener,
        ),
        (
            "Bytes of the receive buffer of the connection to a switch.",
            "SWITCH_RECEIVE",
            switch_receive,
        ),
        ("Bytes of its send buffer.", "SWITCH_SEND", switch_send),
        (
            "Bytes that one read of the asset store yields.",
            "STORE_PIECE",
            store,
        ),
    ] {
        source.size(doc, name, value);
    }
    source.0
}

/// Name, addresses and interrupts of a board's hardware: the constants of its
/// own crate. A section that the board has not gives none.
pub fn constants(board: &Board) -> String {
    let mut source = Source::new();
    let name = format!("{:?}", board.board.name);
    source.put("Name of the board.", "NAME", "&str", name);
    if let Some(clock) = board.clock {
        source.put("System clock in hertz.", "CLOCK_HZ", "u32", clock.hz);
    }
    if let Some(uart) = board.uart {
        source.address("Address of the UART.", "UART_BASE", uart.base);
        source.put("Bits per second.", "UART_BAUD", "u32", uart.baud);
    }
    if let Some(timer) = board.timer {
        source.address("Address of the timer.", "TIMER_BASE", timer.base);
        source.put("Interrupt of the timer.", "TIMER_IRQ", "u16", timer.irq);
    }
    if let Some(watchdog) = board.watchdog {
        source.address("Address of the watchdog.", "WATCHDOG_BASE", watchdog.base);
    }
    if let Some(nic) = &board.nic {
        source.address("Address of the Ethernet chip.", "NIC_BASE", nic.base);
        source.put("Interrupt of the chip.", "NIC_IRQ", "u16", nic.irq);
        // `Board::read` has checked it.
        let mac = format!("{:?}", nic.mac().unwrap_or_default());
        source.put("Hardware address.", "MAC", "[u8; 6]", mac);
    }
    if let Some(store) = &board.store {
        let doc = "Store file, unless the command line names another.";
        source.put(doc, "STORE_FILE", "&str", format!("{:?}", store.file));
    }
    let Journal {
        base,
        size,
        sector,
        word,
    } = board.journal;
    if let Some(base) = base {
        source.address("Address of the journal's flash.", "JOURNAL_BASE", base);
    }
    source.size("Bytes of the journal's flash.", "JOURNAL_SIZE", size);
    source.size("Bytes erased at once.", "JOURNAL_SECTOR", sector);
    source.size("Bytes programmed at once.", "JOURNAL_WORD", word);
    source.0
}

/// The memory map for the linker, in the form that `cortex-m-rt` includes.
/// The stack lies below the statics, so that an overflow faults.
pub fn memory_x(memory: &Memory) -> String {
    let Memory {
        flash_origin,
        ram_origin,
        flash_budget,
        ram_budget,
        stack,
    } = memory;
    let mut text = String::from("/* Made from board.toml by the build script. */\nMEMORY\n{\n");
    for (name, origin, length) in [
        ("FLASH", *flash_origin, *flash_budget),
        ("STACK", *ram_origin, *stack),
        ("RAM", ram_origin + stack, ram_budget - stack),
    ] {
        // Writing to a string does not fail.
        let _written = writeln!(
            text,
            "    {name} : ORIGIN = {origin:#010x}, LENGTH = {length:#x}"
        );
    }
    text.push_str(
        "}\n_stack_start = ORIGIN(STACK) + LENGTH(STACK);\n_stack_end = ORIGIN(STACK);\n",
    );
    text
}
