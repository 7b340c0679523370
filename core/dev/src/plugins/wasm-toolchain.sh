#!/usr/bin/env bash
# Makes a Rust compiler with a wasm32-unknown-unknown std in PREFIX, on Debian, without touching the system.
#
#   wasm-toolchain.sh PREFIX
#
# For machines where `rustup target add wasm32-unknown-unknown` cannot download. Debian's `rustc-web` (its
# LLVM has the wasm backend) is unpacked, not installed: the package conflicts with a system rustup and would
# put a second rustc on the path. The std is built from the matching `rust-web-src` with rustup's cargo and
# linked with rustup's rust-lld. Versions are resolved when the script runs, so they always fit each other.
# Needs: apt's package lists, the crates.io index, rustup. Takes about a minute and 500 MB.
# Afterwards PREFIX/env holds the two variables that a guest build needs, and PREFIX/ready exists.
set -euo pipefail
P=$(realpath -m "${1:?usage: wasm-toolchain.sh PREFIX}")
say() { printf '  wasm toolchain: %s\n' "$*" >&2; }

rm -rf "$P"
mkdir -p "$P/debs" "$P/bin"
cd "$P/debs"

candidate() { apt-cache policy rustc-web 2>/dev/null | awk '/Candidate:/{print $2}'; }
V=$(candidate)
if [ -z "$V" ] || [ "$V" = "(none)" ] || dpkg --compare-versions "$V" lt 1.95; then
    say "refreshing apt's package lists"
    apt-get -q update >/dev/null 2>&1 || true
    V=$(candidate)
fi
if [ -z "$V" ] || [ "$V" = "(none)" ] || dpkg --compare-versions "$V" lt 1.95; then
    echo "wasm-toolchain.sh: apt offers rustc-web '${V:-none}', but 1.95 or later is needed (bookworm-security has it)." \
        "Where downloads work, run: rustup target add wasm32-unknown-unknown" >&2
    exit 1
fi
MM=$(cut -d. -f1,2 <<<"$V")
say "downloading rustc $V (145 MB)"
apt-get -q -o APT::Sandbox::User=root download "rustc-web=$V" "libstd-rust-web-dev=$V" "libstd-rust-web-$MM=$V" "rust-web-src=$V" >/dev/null
LLVM=$(dpkg-deb -f libstd-rust-web-"$MM"_*.deb Depends | grep -o 'libllvm[0-9]*')
apt-get -q -o APT::Sandbox::User=root download "$LLVM" libz3-4 libedit2 libxml2 >/dev/null
say "unpacking"
for f in *.deb; do
    case $f in
    rust-web-src*) dpkg-deb --fsys-tarfile "$f" |
        tar -x -C "$P" --wildcards './usr/src/rustc-*/library' './usr/lib/rustlib/src/*' ;;
    *) dpkg-deb -x "$f" "$P" ;;
    esac
done
cd "$P"
rm -rf "$P/debs"

HOST=$(rustc -vV | awk '/^host:/{print $2}')
LLD=$(rustc --print sysroot)/lib/rustlib/$HOST/bin/rust-lld
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/usr/lib/x86_64-linux-gnu exec %s/usr/bin/rustc "$@"\n' "$P" "$P" >"$P/bin/rustc"
chmod +x "$P/bin/rustc"
printf 'RUSTC=%s/bin/rustc\nCARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=%s\n' "$P" "$LLD" >"$P/env"
set -a
. "$P/env"
set +a

# Paths of this machine must not get into a guest's panic messages.
REMAP="--remap-path-prefix=$P=/tc"
for d in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do REMAP="$REMAP --remap-path-prefix=$d=/deps"; done
B=$P/stdbuild
mkdir -p "$B/src"
echo '#![no_std]' >"$B/src/lib.rs"
printf '[package]\nname="stdbuild"\nversion="0.0.0"\nedition="2021"\n[workspace]\n' >"$B/Cargo.toml"
say "building std for wasm32-unknown-unknown"
# Bitcode is needed by `lto = "fat"` in the guests.
(cd "$B" && RUSTFLAGS="-Cembed-bitcode=yes $REMAP" RUSTC_BOOTSTRAP=1 cargo build -q --release -j"${JOBS:-2}" \
    -Zbuild-std=std,panic_abort -Zbuild-std-features=panic-unwind --target wasm32-unknown-unknown)
L=$P/usr/lib/rustlib/wasm32-unknown-unknown/lib
mkdir -p "$L"
cp "$B"/target/wasm32-unknown-unknown/release/deps/*.rlib "$L/"
rm -f "$L"/libstdbuild-*
rm -rf "$B" "$P/usr/src" "$P/usr/lib/rustlib/src" "$P/usr/share"
"$P/bin/rustc" --version >"$P/ready"
say "done: $(cat "$P/ready")"
