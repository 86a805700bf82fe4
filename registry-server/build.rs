//! The migrations are embedded: a changed one rebuilds the crate.
#![expect(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
