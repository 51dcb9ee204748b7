//! Turns `board.toml` into constants and the linker's memory map.

fn main() {
    farrier_board_build::board_script();
}
