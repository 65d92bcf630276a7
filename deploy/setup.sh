#!/usr/bin/env bash
# Installs what is missing to build pointd, and with `test` also what its tests run.
#
#   deploy/setup.sh run     compilers, libraries, Rust
#   deploy/setup.sh test    and RabbitMQ, Java, Maven, Python's venv, qemu-user, Apache Kafka's jars
#
# A test that lacks what it needs fails. What POINTD_TESTS_WITHOUT names (kafka, rabbitmq, qemu, mount,
# with commas between) is not installed and its tests are left out. What cannot be had here is added
# to it, with a line that says so: target/tests-without has the whole list, for who starts the tests.
#
# For Debian and its relatives; needs root or sudo only if something is missing. It never starts
# a service. Prints one line per thing that is needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

purpose=${1:-run}
case $purpose in
run | test) ;;
*)
    echo "setup: unknown purpose '$purpose': say run or test" >&2
    exit 2
    ;;
esac

export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH:/usr/sbin:/sbin"
log=$(mktemp)
# Set while our own policy-rc.d is in place.
policy=
packages_listed=
sudo=()

finish() {
    if [ -n "$policy" ]; then
        "${sudo[@]}" rm -f "$policy"
    fi
    rm -f "$log"
}
trap finish EXIT

without=${POINTD_TESTS_WITHOUT:-}
is_left_out() { [[ ",$without," == *",$1,"* ]]; }

line() { printf 'setup: %-28s %s\n' "$1" "$2"; }

give_up() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

# Is version $1 at least version $2?
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

# Runs quietly; shows the end of the output only when it fails.
quietly() {
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        return 1
    fi
}

become_root() {
    if [ "$(id -u)" = 0 ] || [ "${#sudo[@]}" -gt 0 ]; then
        return
    fi
    command -v sudo >/dev/null || give_up "installing packages needs root: run this as root, or install sudo"
    # Without a terminal nobody could type a password.
    if [ -t 0 ]; then
        sudo -v && sudo=(sudo)
    else
        sudo -n true 2>/dev/null && sudo=(sudo -n)
    fi
    [ "${#sudo[@]}" -gt 0 ] || give_up "installing packages needs root: run 'sudo deploy/setup.sh $purpose' once by hand"
}

list_packages() {
    if [ -z "$packages_listed" ]; then
        command -v apt-get >/dev/null ||
            give_up "no apt-get here: install by hand what is missing (${missing:-a Rust toolchain})"
        become_root
        quietly "${sudo[@]}" apt-get update || give_up "apt-get update failed: is the network there?"
        packages_listed=yes
    fi
}

can_install() { [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }

apt_install() {
    list_packages
    # Debian starts a service as soon as it is installed, unless this file says no.
    if [ -z "$policy" ] && [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
        "${sudo[@]}" chmod 755 "$policy"
    fi
    quietly "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
        give_up "could not install: $*"
}

check_cpu() {
    if [ "$(uname -m)" != x86_64 ]; then
        return
    fi
    # A generic build runs on any processor.
    grep -q 'x86-64-v3' .cargo/config.toml || return 0
    local flag absent=
    for flag in avx2 bmi1 bmi2 f16c fma movbe; do
        grep -qw -m 1 "$flag" /proc/cpuinfo || absent+=" $flag"
    done
    if [ -n "$absent" ]; then
        give_up "this CPU lacks$absent: pointd needs x86-64-v3 (Intel since Haswell, AMD since Zen)" \
            "in a virtual machine, pass the host's CPU through (for instance: -cpu host)"
    fi
    line "CPU with AVX2" present
}

has_compilers() { command -v gcc >/dev/null && command -v g++ >/dev/null && command -v make >/dev/null; }
has_cmake() { command -v cmake >/dev/null && at_least "$(cmake --version | sed -n 's/^cmake version //p')" 3.24; }
has_pkg_config() { command -v pkg-config >/dev/null; }
has_library() { has_pkg_config && pkg-config --exists "$1"; }
has_openblas() { has_library openblas; }
has_openssl() { has_library openssl; }
has_zlib() { has_library zlib; }
has_rabbitmq() { [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; }
has_java() { command -v java >/dev/null && at_least "$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)" 17; }
has_maven() { command -v mvn >/dev/null; }
has_venv() { command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null; }
has_qemu() { command -v qemu-x86_64 >/dev/null; }

# What is needed: its name, how to see that it is there, its package.
needs=(
    "gcc, g++ and make|has_compilers|build-essential"
    "cmake 3.24 or newer|has_cmake|cmake"
    "pkg-config|has_pkg_config|pkg-config"
    "OpenBLAS|has_openblas|libopenblas-dev"
    "OpenSSL|has_openssl|libssl-dev"
    "zlib|has_zlib|zlib1g-dev"
)
if [ "$purpose" = test ]; then
    needs+=("Python with venv|has_venv|python3-venv")
    is_left_out rabbitmq || needs+=("RabbitMQ|has_rabbitmq|rabbitmq-server")
    is_left_out kafka || needs+=("Java 17 or newer|has_java|java" "Maven|has_maven|maven")
    is_left_out qemu || needs+=("qemu-x86_64|has_qemu|qemu-user")
fi

# The oldest Java this release of Debian has that is new enough.
java_package() {
    local release
    for release in 17 21 25; do
        if can_install "openjdk-$release-jre-headless"; then
            echo "openjdk-$release-jre-headless"
            return
        fi
    done
    give_up "no package of Java 17 or newer here: install one by hand"
}

install_missing() {
    local need name check package
    missing=
    for need in "${needs[@]}"; do
        IFS='|' read -r name check package <<<"$need"
        if $check; then
            line "$name" present
        else
            missing+=" $package"
        fi
    done
    for package in $missing; do
        list_packages
        name=$package
        if [ "$package" = java ]; then
            package=$(java_package)
        fi
        line "$package" "installing"
        apt_install "$package"
        if [ "$name" = rabbitmq-server ]; then
            keep_rabbitmq_still
        fi
    done
    for need in "${needs[@]}"; do
        IFS='|' read -r name check package <<<"$need"
        $check || give_up "$name is still missing after installing $package: this release of the system is too old"
    done
}

# The tests start brokers of their own; the system's must not come up at the next boot.
keep_rabbitmq_still() {
    if command -v systemctl >/dev/null; then
        "${sudo[@]}" systemctl disable rabbitmq-server.service epmd.socket epmd.service >"$log" 2>&1 || true
    fi
}

has_rust() { command -v cargo >/dev/null && at_least "$(rust_version)" "$rust_wanted"; }
# In this directory, so that what rustup was told about it counts.
rust_version() { cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p'; }

no_rust() {
    give_up "Rust $rust_wanted or newer is needed and could not be installed: $1" \
        "install it by hand: https://www.rust-lang.org/tools/install" \
        "(on Debian 13 and Ubuntu 24.04 or newer: apt-get install rustup && rustup default stable;" \
        "the packages rustc and cargo of Debian 12 are too old)"
}

install_rust() {
    rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if has_rust; then
        line "Rust $rust_wanted or newer" "present"
        return
    fi
    line "Rust $rust_wanted or newer" "installing"
    if command -v rustup >/dev/null; then
        quietly rustup toolchain install stable --profile minimal --no-self-update ||
            no_rust "rustup could not fetch the stable toolchain"
        # For this directory only: the user's own default stays.
        quietly rustup override set stable || no_rust "rustup could not select the stable toolchain"
    else
        install_rustup
    fi
    hash -r
    has_rust || no_rust "cargo is '$(rust_version)' after installing"
}

install_rustup() {
    # Debian's rustup would replace Debian's cargo, so it is only taken where there is none.
    if ! command -v cargo >/dev/null && command -v apt-get >/dev/null && list_packages && can_install rustup; then
        apt_install rustup
        quietly rustup default stable || no_rust "rustup could not fetch the stable toolchain"
        return
    fi
    command -v curl >/dev/null || apt_install curl ca-certificates
    local installer
    installer=$(mktemp)
    if ! curl --proto '=https' --tlsv1.2 --silent --show-error --fail --max-time 120 \
        --output "$installer" https://sh.rustup.rs; then
        rm -f "$installer"
        no_rust "https://sh.rustup.rs cannot be reached"
    fi
    quietly sh "$installer" -y --profile minimal --no-modify-path || no_rust "its installer failed"
    rm -f "$installer"
}

# Each of these tests says what it leaves unchecked.
leave_out() {
    without+="${without:+,}$1"
    line "$2" "missing: $3"
}

fetch_kafka() {
    is_left_out kafka && return
    if quietly tests/brokers/fetch-kafka.sh; then
        line "Apache Kafka" present
    else
        leave_out kafka "Apache Kafka" "Maven could not fetch it (above); its tests are left out, but for those on librdkafka's mock cluster"
    fi
}

try_mount() {
    is_left_out mount && return
    local at
    at=$(mktemp -d)
    if quietly mount -t tmpfs -o size=1m pointd-test "$at"; then
        umount "$at"
        line "the right to mount" present
    else
        leave_out mount "the right to mount" "the tests of a full disk are left out; as root they run"
    fi
    rmdir "$at"
}

check_cpu
install_missing
install_rust
if [ "$purpose" = test ]; then
    fetch_kafka
    try_mount
    if [ -n "$without" ]; then
        line "tests are left out" "without $without"
    fi
    mkdir -p target
    printf '%s\n' "$without" >target/tests-without
fi
