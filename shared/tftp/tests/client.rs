//! Tests the receiving end packet by packet.

use farrier_tftp::client::{Action, Config, Download, Outcome};
use farrier_tftp::wire::{Error, ErrorCode, Mode, Options, Packet, Request};

const CONFIG: Config = Config {
    timeout_ms: 1_000,
    max_retries: 2,
    dally_ms: 3_000,
};

fn start(options: Options) -> Download<'static> {
    Download::new(
        Request {
            name: "f",
            mode: Mode::Octet,
            options,
        },
        CONFIG,
    )
}

fn asked() -> Options {
    Options {
        blksize: Some(16),
        windowsize: Some(3),
        ..Options::default()
    }
}

/// The packet sent at this time.
fn sent(download: &mut Download<'_>, now: u64) -> Vec<u8> {
    let mut buf = [0; 128];
    match download.poll(now, &mut buf) {
        Ok(Action::Send(len)) => buf[..len].to_vec(),
        other => panic!("{other:?}"),
    }
}

fn idle(download: &mut Download<'_>, now: u64) -> Action {
    let action = download.poll(now, &mut [0; 128]).unwrap();
    assert!(!matches!(action, Action::Send(_)));
    action
}

fn data(block: u8, len: usize) -> Vec<u8> {
    [&[0, 3, 0, block][..], &vec![block; len]].concat()
}

#[test]
fn error_ends_the_transfer() {
    let mut download = start(asked());
    assert_eq!(
        sent(&mut download, 0),
        b"\0\x01f\0octet\0blksize\x0016\0windowsize\x003\0"
    );
    assert_eq!(download.process(0, b"\0\x05\0\x01gone\0"), None);
    let end = Outcome::Peer(ErrorCode::FILE_NOT_FOUND);
    assert_eq!(idle(&mut download, 0), Action::Done(end));
    assert_eq!(download.outcome(), Some(end));
}

#[test]
fn server_without_options_is_accepted() {
    let mut download = start(asked());
    sent(&mut download, 0);
    let full = data(1, 512);
    assert_eq!(download.process(0, &full), Some((0, &full[4..])));
    assert_eq!(sent(&mut download, 0), [0, 4, 0, 1]);
    assert_eq!(download.process(0, &data(2, 0)), Some((512, &[][..])));
    assert_eq!(sent(&mut download, 0), [0, 4, 0, 2]);
}

#[test]
fn unrequested_options_are_refused() {
    let raised = [
        Options {
            blksize: Some(17),
            ..Options::default()
        },
        Options {
            windowsize: Some(4),
            ..Options::default()
        },
    ];
    for granted in raised {
        let mut download = start(asked());
        sent(&mut download, 0);
        let mut buf = [0; 64];
        let len = Packet::Oack(granted).emit(&mut buf).unwrap();
        download.process(0, &buf[..len]);
        assert_eq!(sent(&mut download, 0)[..4], [0, 5, 0, 8]);
        assert_eq!(idle(&mut download, 0), Action::Done(Outcome::Negotiation));
    }
}

#[test]
fn window_is_acknowledged_at_its_end_and_a_gap_once() {
    let mut download = start(asked());
    sent(&mut download, 0);
    download.process(0, b"\0\x06blksize\x0016\0windowsize\x003\0");
    assert_eq!(sent(&mut download, 0), [0, 4, 0, 0]);
    assert!(download.process(0, &data(1, 16)).is_some());
    assert!(download.process(0, &data(2, 16)).is_some());
    assert_eq!(idle(&mut download, 0), Action::Wait(1_000));
    assert!(download.process(0, &data(3, 16)).is_some());
    assert_eq!(sent(&mut download, 0), [0, 4, 0, 3]);
    // 4 arrives, 5 is lost: the first block behind it is answered, not the next.
    assert!(download.process(0, &data(4, 16)).is_some());
    assert_eq!(download.process(0, &data(6, 16)), None);
    assert_eq!(sent(&mut download, 0), [0, 4, 0, 4]);
    assert_eq!(download.process(0, &data(6, 16)), None);
    idle(&mut download, 0);
    // The window counts from the last ACK.
    for block in 5..=6 {
        assert!(download.process(0, &data(block, 16)).is_some());
        idle(&mut download, 0);
    }
    assert!(download.process(0, &data(7, 16)).is_some());
    assert_eq!(sent(&mut download, 0), [0, 4, 0, 7]);
    // Longer than negotiated: not a block of this transfer.
    assert_eq!(download.process(0, &data(8, 17)), None);
    // The last block is acknowledged at every position of the window.
    assert_eq!(download.process(0, &data(8, 2)), Some((112, &[8, 8][..])));
    assert_eq!(sent(&mut download, 0), [0, 4, 0, 8]);
    // Its ACK can be lost; then the transfer ends.
    assert_eq!(download.process(10, &data(8, 2)), None);
    assert_eq!(sent(&mut download, 10), [0, 4, 0, 8]);
    assert_eq!(idle(&mut download, 10), Action::Wait(3_000));
    assert_eq!(idle(&mut download, 3_000), Action::Done(Outcome::Complete));
}

#[test]
fn unanswered_packets_are_repeated_until_the_limit() {
    let mut download = start(Options::default());
    let request = sent(&mut download, 0);
    assert_eq!(idle(&mut download, 0), Action::Wait(1_000));
    assert_eq!(sent(&mut download, 1_000), request);
    download.process(1_500, &data(1, 512));
    assert_eq!(sent(&mut download, 1_500), [0, 4, 0, 1]);
    for now in [2_500, 3_500] {
        assert_eq!(idle(&mut download, now - 1), Action::Wait(now));
        assert_eq!(sent(&mut download, now), [0, 4, 0, 1]);
    }
    assert_eq!(idle(&mut download, 4_500), Action::Done(Outcome::TimedOut));
}

#[test]
fn short_buffer_fails_without_a_loss() {
    let mut download = start(Options::default());
    assert_eq!(download.poll(0, &mut [0; 3]), Err(Error::NoRoom));
    assert_eq!(sent(&mut download, 0), b"\0\x01f\0octet\0");
}
