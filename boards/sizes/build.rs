//! Writes the sizes of the selected board as constants.

fn main() {
    farrier_board_build::sizes_script();
}
