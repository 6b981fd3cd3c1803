#!/usr/bin/env bash
# Compares Meerkat with Debian's Java ZooKeeper on this machine: starts both with the same
# settings, measures them in turns and prints a Markdown table.
#
#   tools/versus/run.sh [options of `meerkat bench versus`, such as --rows all --rounds 5]
#
#   VERSUS_DIR   where the data directories go (default /var/tmp); a real disk, for both sync
#   MEERKAT      the binary (default: bin/meerkat, built when the sources can be)
#
# Both servers listen on loopback only and are stopped at the end, their data is removed.
set -euo pipefail
cd "$(dirname "$0")/../.."

. tools/versus/servers.sh

java_port=$(free_port)
configure java "$java_port"
start_java java "$java_port"
java_pid=$pid

meerkat_port=$(free_port)
configure meerkat "$meerkat_port"
start_meerkat meerkat "$meerkat_port"
meerkat_pid=$pid

say "java on $java_port (process $java_pid), meerkat on $meerkat_port (process $meerkat_pid)," \
	"data on $(df --output=source "$dir" | tail -n 1)"
"$meerkat" bench versus --a "java,127.0.0.1:$java_port,$java_pid" \
	--b "meerkat,127.0.0.1:$meerkat_port,$meerkat_pid" "$@"
