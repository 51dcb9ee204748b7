//! The command line of `cargo xtask fuzz` knows this crate's bodies.

#[test]
fn the_command_line_has_all_bodies() {
    let names: Vec<_> = farrier_fuzz::BODIES.iter().map(|body| body.name).collect();
    assert_eq!(xtask::fuzz::BODIES, names);
}
