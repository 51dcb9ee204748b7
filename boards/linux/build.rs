//! Turns `board.toml` into constants.

fn main() {
    farrier_board_build::board_script();
}
