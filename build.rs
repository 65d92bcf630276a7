//! Compiles the C++ shim over FAISS, and the processor check that runs before any of it; replaces
//! one function of librdkafka.

use std::env;

/// What the compiler may use of the processor, by its predefined macro, and the name the check
/// knows it by. FAISS is compiled with the same CXXFLAGS, so what holds for the shim holds for it.
const FEATURES: [(&str, &str); 7] = [
    ("__AVX__", "NEEDS_AVX"),
    ("__AVX2__", "NEEDS_AVX2"),
    ("__FMA__", "NEEDS_FMA"),
    ("__F16C__", "NEEDS_F16C"),
    ("__BMI__", "NEEDS_BMI1"),
    ("__BMI2__", "NEEDS_BMI2"),
    ("__AVX512F__", "NEEDS_AVX512F"),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/ann/shim");
    let faiss = env::var("DEP_FAISS_C_ROOT").expect("faiss-sys is built with its `static` feature");

    let features = compiler_features();
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include(format!("{faiss}/include"))
        // FAISS's headers have unused parameters throughout.
        .flag("-Wno-unused-parameter")
        .files(["kernel", "graph", "search"].map(|name| format!("src/ann/shim/{name}.cpp")))
        .compile("pointd_ann");

    // After the shim, which refers to it, so that a linker that reads once from left to right
    // finds it too.
    let mut check = cc::Build::new();
    check.file("src/ann/shim/cpu.c");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        // The check must run on the processor it refuses, whatever CFLAGS say.
        check.flag("-march=x86-64");
        for feature in features {
            check.define(feature, None);
        }
    }
    check.compile("pointd_cpu");

    // librdkafka's own is not called any more: src/source/kafka/native.rs says why.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-link-arg=-Wl,--wrap=rd_kafka_metadata_update_op");
    }
}

/// The features that the C++ compiler, with the flags FAISS gets too, takes for granted.
fn compiler_features() -> Vec<&'static str> {
    let expanded = cc::Build::new().cpp(true).file("src/ann/shim/features.cpp").expand();
    let expanded = String::from_utf8_lossy(&expanded);
    let has = |macro_name: &str| {
        expanded.lines().any(|line| line.trim() == format!("pointd has {macro_name}_"))
    };
    FEATURES.iter().filter(|(macro_name, _)| has(macro_name)).map(|(_, need)| *need).collect()
}
