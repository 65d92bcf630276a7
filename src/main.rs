//! The binary: everything is in the library.

fn main() -> std::process::ExitCode {
    pointd::commands::main()
}
