//! Tests the sending end packet by packet.

use farrier_tftp::server::{Action, Limits, Outcome, Transfer};
use farrier_tftp::wire::{ErrorCode, ErrorReply, Mode, Options, Packet, Request};

const NO_OPTIONS: Options = Options {
    blksize: None,
    tsize: None,
    timeout: None,
    windowsize: None,
};

const LIMITS: Limits = Limits {
    max_blksize: 1468,
    max_window: 8,
    timeout_ms: 1_000,
    max_timeout_ms: 4_000,
    max_retries: 3,
    deadline_ms: 60_000,
    least_rate: 0,
    pause_ms: 0,
    gap_ms: 0,
};

fn start(options: Options, file_len: u64) -> Transfer {
    start_with(options, file_len, &LIMITS)
}

fn start_with(options: Options, file_len: u64, limits: &Limits) -> Transfer {
    let request = Request {
        name: "f",
        mode: Mode::Octet,
        options,
    };
    Transfer::new(0, &request, file_len, limits).unwrap()
}

fn window(windowsize: u16) -> Options {
    Options {
        windowsize: Some(windowsize),
        blksize: Some(8),
        ..NO_OPTIONS
    }
}

/// As [`start`], with the OACK sent and accepted.
fn negotiated(options: Options, file_len: u64) -> Transfer {
    let mut transfer = start(options, file_len);
    assert_eq!(transfer.poll(0), Action::SendOack);
    ack(&mut transfer, 0);
    transfer
}

fn ack(transfer: &mut Transfer, block: u16) {
    let [hi, lo] = block.to_be_bytes();
    transfer.process(&[0, 4, hi, lo]);
}

fn error(transfer: &mut Transfer, code: u8) {
    transfer.process(&[0, 5, 0, code, b'x', 0]);
}

fn oack(transfer: &Transfer) -> Options {
    let mut buf = [0; 64];
    let len = transfer.emit_oack(&mut buf).unwrap();
    let Ok(Packet::Oack(options)) = Packet::parse(&buf[..len]) else {
        panic!()
    };
    options
}

/// Returns the numbers of all blocks sent at this time, and the next action.
fn burst(transfer: &mut Transfer, now: u64) -> (Vec<u16>, Action) {
    let mut blocks = Vec::new();
    loop {
        match transfer.poll(now) {
            Action::SendData { block, .. } => blocks.push(block),
            other => return (blocks, other),
        }
    }
}

#[test]
fn transfer_is_small() {
    assert!(size_of::<Transfer>() <= 256, "{}", size_of::<Transfer>());
}

#[test]
fn without_options_data_is_sent_at_once() {
    let mut transfer = start(NO_OPTIONS, 700);
    let first = Action::SendData {
        block: 1,
        offset: 0,
        len: 512,
    };
    assert_eq!(transfer.poll(0), first);
    assert_eq!(transfer.poll(0), Action::Wait(1_000));
    ack(&mut transfer, 1);
    assert_eq!(transfer.acked_len(), 512);
    let second = Action::SendData {
        block: 2,
        offset: 512,
        len: 188,
    };
    assert_eq!(transfer.poll(10), second);
    ack(&mut transfer, 2);
    assert_eq!(transfer.poll(10), Action::Done(Outcome::Complete));
    assert_eq!(
        (transfer.acked_len(), transfer.outcome()),
        (700, Some(Outcome::Complete))
    );
}

#[test]
fn oack_has_the_granted_options() {
    let ask = |options| oack(&start(options, 123_456));
    assert_eq!(
        ask(Options {
            tsize: Some(0),
            ..NO_OPTIONS
        }),
        Options {
            tsize: Some(123_456),
            ..NO_OPTIONS
        }
    );
    let blksize = |size| {
        ask(Options {
            blksize: Some(size),
            ..NO_OPTIONS
        })
    };
    for (asked, granted) in [(8, 8), (1024, 1024), (1468, 1468), (65464, 1468)] {
        assert_eq!(
            blksize(asked),
            Options {
                blksize: Some(granted),
                ..NO_OPTIONS
            }
        );
    }
    let windows = |size| {
        ask(Options {
            windowsize: Some(size),
            ..NO_OPTIONS
        })
    };
    for (asked, granted) in [(1, 1), (8, 8), (65535, 8)] {
        assert_eq!(
            windows(asked),
            Options {
                windowsize: Some(granted),
                ..NO_OPTIONS
            }
        );
    }
    // A timeout is granted unchanged or not at all (RFC 2349).
    let timeout = |secs| {
        start(
            Options {
                timeout: Some(secs),
                ..NO_OPTIONS
            },
            1,
        )
    };
    let mut granted = timeout(4);
    assert_eq!(
        oack(&granted),
        Options {
            timeout: Some(4),
            ..NO_OPTIONS
        }
    );
    assert_eq!(granted.poll(0), Action::SendOack);
    assert_eq!(granted.poll(0), Action::Wait(4_000));
    let mut declined = timeout(5);
    assert!(
        matches!(declined.poll(0), Action::SendData { .. }),
        "nothing is left for an OACK"
    );
    assert_eq!(declined.poll(0), Action::Wait(1_000));
}

#[test]
fn oack_is_repeated_until_it_is_acknowledged() {
    let mut transfer = start(
        Options {
            tsize: Some(0),
            ..NO_OPTIONS
        },
        10,
    );
    assert_eq!(transfer.poll(0), Action::SendOack);
    assert_eq!(transfer.poll(999), Action::Wait(1_000));
    assert_eq!(transfer.poll(1_000), Action::SendOack);
    // An ACK of a block does not acknowledge it.
    ack(&mut transfer, 1);
    assert_eq!(transfer.poll(1_000), Action::Wait(3_000));
    ack(&mut transfer, 0);
    assert_eq!(
        transfer.poll(1_001),
        Action::SendData {
            block: 1,
            offset: 0,
            len: 10
        }
    );
    // A repetition does not send its first packet again.
    ack(&mut transfer, 0);
    assert_eq!(transfer.poll(1_001), Action::Wait(2_001));
}

#[test]
fn full_last_block_is_followed_by_an_empty_one() {
    for (len, last) in [(0, 0), (1, 1), (511, 511), (512, 0), (513, 1), (1024, 0)] {
        let mut transfer = start(NO_OPTIONS, len);
        let mut sizes = Vec::new();
        while let Action::SendData { block, len, .. } = transfer.poll(0) {
            sizes.push(len);
            ack(&mut transfer, block);
        }
        assert_eq!(transfer.outcome(), Some(Outcome::Complete));
        assert_eq!(sizes.pop(), Some(last), "file of {len}");
        assert!(sizes.iter().all(|size| *size == 512));
        assert_eq!(sizes.len() as u64, len / 512);
    }
}

#[test]
fn repeated_acks_do_not_double_data_in_lock_step() {
    let mut transfer = start(NO_OPTIONS, 5_000);
    assert_eq!(burst(&mut transfer, 0).0, [1]);
    for block in 1..=8_u16 {
        ack(&mut transfer, block);
        assert_eq!(burst(&mut transfer, 0).0, [block + 1]);
        // The same ACK, an older one, a future one.
        for stray in [block, block - 1, block + 2, block.wrapping_sub(1_000)] {
            ack(&mut transfer, stray);
            assert_eq!(burst(&mut transfer, 0).0, []);
        }
        // Other packets.
        let [hi, lo] = (block + 1).to_be_bytes();
        let strays: [&[u8]; 5] = [
            &[],
            &[0, 4, hi],
            &[1, 4, hi, lo],
            &[0, 3, hi, lo],
            b"\0\x01f\0",
        ];
        for stray in strays {
            transfer.process(stray);
            assert_eq!(burst(&mut transfer, 0).0, []);
        }
    }
}

#[test]
fn unacknowledged_data_is_repeated_with_backoff_until_the_limit() {
    for options in [
        NO_OPTIONS,
        Options {
            tsize: Some(0),
            ..NO_OPTIONS
        },
    ] {
        let mut transfer = start(options, 5_000);
        let mut sent = Vec::new();
        let mut now = 0;
        let outcome = loop {
            match transfer.poll(now) {
                Action::Wait(until) => now = until,
                Action::Done(outcome) => break outcome,
                Action::SendData { block, .. } => {
                    assert_eq!(block, 1);
                    sent.push(now);
                }
                Action::SendOack => sent.push(now),
            }
        };
        // 1 s, 2 s, 4 s, and 4 s at the limit.
        assert_eq!(sent, [0, 1_000, 3_000, 7_000]);
        assert_eq!((now, outcome), (11_000, Outcome::TimedOut));
        assert_eq!(transfer.poll(0), Action::Done(Outcome::TimedOut));
    }
}

#[test]
fn progress_resets_the_retries() {
    let mut transfer = start(NO_OPTIONS, 5_000);
    assert_eq!(burst(&mut transfer, 0), (vec![1], Action::Wait(1_000)));
    assert_eq!(burst(&mut transfer, 1_000), (vec![1], Action::Wait(3_000)));
    assert_eq!(burst(&mut transfer, 3_000), (vec![1], Action::Wait(7_000)));
    ack(&mut transfer, 1);
    assert_eq!(burst(&mut transfer, 3_001), (vec![2], Action::Wait(4_001)));
}

#[test]
fn transfer_ends_at_the_deadline() {
    let mut transfer = start(NO_OPTIONS, 1 << 30);
    let mut now = 0;
    let mut block = 0_u16;
    while now < 60_000 {
        // A client that acknowledges slowly.
        block = block.wrapping_add(1);
        assert_eq!(burst(&mut transfer, now).0, [block]);
        ack(&mut transfer, block);
        now += 900;
    }
    assert_eq!(transfer.poll(now), Action::Done(Outcome::Deadline));
    let mut silent = start_with(
        NO_OPTIONS,
        1,
        &Limits {
            deadline_ms: 500,
            ..LIMITS
        },
    );
    assert_eq!(burst(&mut silent, 0), (vec![1], Action::Wait(500)));
    assert_eq!(silent.poll(500), Action::Done(Outcome::Deadline));
}

#[test]
fn size_probe_is_not_a_failure() {
    let tsize = Options {
        tsize: Some(0),
        ..NO_OPTIONS
    };
    // EDK II sends 8, ROMs and the Raspberry Pi 0, after the OACK or after
    // its acknowledgement.
    for code in [8, 0] {
        let mut transfer = start(tsize, 5_000);
        assert_eq!(transfer.poll(0), Action::SendOack);
        error(&mut transfer, code);
        assert_eq!(transfer.poll(0), Action::Done(Outcome::Probe));

        let mut transfer = negotiated(tsize, 5_000);
        assert_eq!(burst(&mut transfer, 0).0, [1]);
        error(&mut transfer, code);
        assert_eq!(transfer.outcome(), Some(Outcome::Probe));
    }
    let ends = |options, acked: u16, code| {
        let mut transfer = negotiated(options, 5_000);
        for block in 1..=acked {
            burst(&mut transfer, 0);
            ack(&mut transfer, block);
        }
        error(&mut transfer, code);
        transfer.outcome().unwrap()
    };
    // Another code, no requested size, or accepted data: a failure.
    let blksize = Options {
        blksize: Some(512),
        ..NO_OPTIONS
    };
    assert_eq!(ends(tsize, 0, 3), Outcome::Peer(ErrorCode::DISK_FULL));
    assert_eq!(
        ends(blksize, 0, 8),
        Outcome::Peer(ErrorCode::OPTION_NEGOTIATION)
    );
    assert_eq!(ends(tsize, 1, 0), Outcome::Peer(ErrorCode::NOT_DEFINED));
}

#[test]
fn ended_transfer_stays_ended() {
    let mut transfer = start(NO_OPTIONS, 5_000);
    assert_eq!(burst(&mut transfer, 0).0, [1]);
    transfer.abort();
    assert_eq!(transfer.poll(0), Action::Done(Outcome::Aborted));
    ack(&mut transfer, 1);
    error(&mut transfer, 1);
    assert_eq!(transfer.poll(u64::MAX), Action::Done(Outcome::Aborted));
    let mut complete = start(NO_OPTIONS, 5);
    assert_eq!(burst(&mut complete, 0).0, [1]);
    ack(&mut complete, 1);
    complete.abort();
    assert_eq!(complete.poll(0), Action::Done(Outcome::Complete));
}

#[test]
fn only_octet_mode_is_served() {
    for mode in [Mode::Netascii, Mode::Mail] {
        let request = Request {
            name: "f",
            mode,
            options: NO_OPTIONS,
        };
        assert_eq!(
            Transfer::new(0, &request, 1, &LIMITS).unwrap_err(),
            ErrorReply::OCTET_ONLY
        );
    }
}

#[test]
fn window_is_resumed_at_the_missing_block() {
    let mut transfer = negotiated(window(4), 1_000);
    assert_eq!((transfer.window(), transfer.blksize()), (4, 8));
    assert_eq!(
        burst(&mut transfer, 0),
        (vec![1, 2, 3, 4], Action::Wait(1_000))
    );
    ack(&mut transfer, 4);
    assert_eq!(burst(&mut transfer, 1).0, [5, 6, 7, 8]);
    // 7 is missing: the window restarts there once, for any number of ACKs.
    ack(&mut transfer, 6);
    assert_eq!(burst(&mut transfer, 2).0, [7, 8, 9, 10]);
    ack(&mut transfer, 6);
    ack(&mut transfer, 6);
    assert_eq!(burst(&mut transfer, 2).0, []);
    // 8 is acknowledged late: nothing is sent twice.
    ack(&mut transfer, 10);
    assert_eq!(burst(&mut transfer, 3).0, [11, 12, 13, 14]);
    // The timeout repeats the whole window.
    assert_eq!(burst(&mut transfer, 1_003).0, [11, 12, 13, 14]);
}

#[test]
fn late_ack_of_sent_blocks_counts() {
    let mut transfer = negotiated(window(4), 1_000);
    assert_eq!(burst(&mut transfer, 0).0, [1, 2, 3, 4]);
    ack(&mut transfer, 1);
    assert_eq!(
        transfer.poll(0),
        Action::SendData {
            block: 2,
            offset: 8,
            len: 8
        }
    );
    // The network reordered the packets.
    ack(&mut transfer, 4);
    assert_eq!(burst(&mut transfer, 0).0, [5, 6, 7, 8]);
}

#[test]
fn lost_first_block_of_a_window_is_repeated_without_a_timeout() {
    let mut transfer = negotiated(window(4), 1_000);
    assert_eq!(burst(&mut transfer, 0).0, [1, 2, 3, 4]);
    ack(&mut transfer, 4);
    assert_eq!(burst(&mut transfer, 0).0, [5, 6, 7, 8]);
    // 5 was lost; the client repeats its ACK after 6, 7 and 8.
    for _ in 0..3 {
        ack(&mut transfer, 4);
    }
    assert_eq!(burst(&mut transfer, 0).0, [5, 6, 7, 8]);
    // A client that acknowledges each repeated block does not cause a second
    // repetition: repeated ACKs do not count in the next window …
    ack(&mut transfer, 8);
    assert_eq!(burst(&mut transfer, 0).0, [9, 10, 11, 12]);
    ack(&mut transfer, 8);
    assert_eq!(burst(&mut transfer, 0).0, []);
    // … but in the one after it.
    ack(&mut transfer, 12);
    assert_eq!(burst(&mut transfer, 0).0, [13, 14, 15, 16]);
    ack(&mut transfer, 12);
    assert_eq!(burst(&mut transfer, 0).0, [13, 14, 15, 16]);
}

#[test]
fn window_ends_with_the_file() {
    let mut transfer = negotiated(window(8), 20);
    assert_eq!(burst(&mut transfer, 0).0, [1, 2, 3]);
    ack(&mut transfer, 3);
    assert_eq!(transfer.poll(0), Action::Done(Outcome::Complete));
}

#[test]
fn block_numbers_roll_over_to_zero() {
    // 200,000 blocks: three roll-overs, in lock step and in windows.
    for size in [1, 7] {
        let mut transfer = negotiated(window(size), 8 * 200_000 + 3);
        let mut expected = 1_u64;
        loop {
            let mut last = 0;
            while let Action::SendData { block, offset, .. } = transfer.poll(0) {
                assert_eq!(block, (expected % 65536) as u16);
                assert_eq!(offset, (expected - 1) * 8);
                last = block;
                expected += 1;
            }
            if transfer.outcome().is_some() {
                break;
            }
            ack(&mut transfer, last);
        }
        assert_eq!(transfer.outcome(), Some(Outcome::Complete));
        assert_eq!(expected, 200_002);
    }
}

#[test]
fn data_is_paced() {
    let limits = Limits {
        gap_ms: 5,
        ..LIMITS
    };
    let mut transfer = start_with(window(3), 100, &limits);
    assert_eq!(transfer.poll(0), Action::SendOack);
    ack(&mut transfer, 0);
    assert_eq!(burst(&mut transfer, 10), (vec![1], Action::Wait(15)));
    assert_eq!(burst(&mut transfer, 14), (vec![], Action::Wait(15)));
    assert_eq!(burst(&mut transfer, 15), (vec![2], Action::Wait(20)));
    assert_eq!(burst(&mut transfer, 20), (vec![3], Action::Wait(1_020)));
    // Also across an ACK.
    ack(&mut transfer, 3);
    assert_eq!(burst(&mut transfer, 21), (vec![], Action::Wait(25)));
}

#[test]
fn extreme_limits_do_not_panic() {
    let zero = Limits {
        max_blksize: 0,
        max_window: 0,
        timeout_ms: 0,
        max_timeout_ms: 0,
        max_retries: 0,
        deadline_ms: 1_000,
        gap_ms: 0,
        least_rate: 0,
        pause_ms: 0,
    };
    let mut transfer = start_with(window(4), 3, &zero);
    assert_eq!(transfer.poll(0), Action::SendOack);
    ack(&mut transfer, 0);
    assert_eq!(burst(&mut transfer, 0).0, [1]);
    // Times near the largest value.
    let request = Request {
        name: "f",
        mode: Mode::Octet,
        options: NO_OPTIONS,
    };
    let mut late = Transfer::new(u64::MAX - 1, &request, 3, &LIMITS).unwrap();
    assert!(matches!(late.poll(u64::MAX - 1), Action::SendData { .. }));
    assert_eq!(late.poll(u64::MAX), Action::Done(Outcome::Deadline));
    let mut huge = start(NO_OPTIONS, u64::MAX);
    assert_eq!(burst(&mut huge, 0).0, [1]);
}

#[test]
fn a_client_below_the_least_rate_is_given_up() {
    let limits = Limits {
        least_rate: 2_048,
        pause_ms: 15_000,
        ..Limits::default()
    };
    let request = Request {
        name: "f",
        mode: Mode::Octet,
        options: Options::default(),
    };
    // A block of 512 bytes every second is a quarter of the rate, and pays for
    // 250 ms.
    let mut transfer = Transfer::new(0, &request, 1 << 20, &limits).unwrap();
    let mut now = 0;
    let mut block = 0_u16;
    let outcome = loop {
        match transfer.poll(now) {
            Action::SendData { block: sent, .. } => block = sent,
            Action::Wait(until) => {
                assert!(until <= now + 15_000);
                now += 1_000;
                transfer.process(&[0, 4, block.to_be_bytes()[0], block.to_be_bytes()[1]]);
            }
            Action::Done(outcome) => break outcome,
            Action::SendOack => unreachable!(),
        }
    };
    assert_eq!(outcome, Outcome::Slow);
    assert_eq!(now, 20_000);
    // Twice the rate goes on to the end.
    let mut transfer = Transfer::new(0, &request, 1 << 20, &limits).unwrap();
    let mut now = 0;
    let outcome = loop {
        match transfer.poll(now) {
            Action::SendData { block: sent, .. } => block = sent,
            Action::Wait(_) => {
                now += 125;
                transfer.process(&[0, 4, block.to_be_bytes()[0], block.to_be_bytes()[1]]);
            }
            Action::Done(outcome) => break outcome,
            Action::SendOack => unreachable!(),
        }
    };
    assert_eq!(outcome, Outcome::Complete);
}
