#!/usr/bin/env bash
# Compares what one number per load does not show: memory and restart with a million znodes,
# reads at half load, idle sessions, and writes beside snapshots. Prints a Markdown table.
#
#   tools/versus/large.sh
#
#   ZNODES, SESSIONS, SECONDS_EACH   1000000, 10000 and 10, for which the goals are;
#                                    smaller ones for a trial
#   VERSUS_DIR, MEERKAT              as for run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/versus/servers.sh

znodes=${ZNODES:-1000000}
sessions=${SESSIONS:-10000}
each=${SECONDS_EACH:-10}

# load PORT PID ARGUMENTS...: the report of one run, on stdout.
load() {
	local port=$1 pid=$2
	shift 2
	"$meerkat" bench run --servers "127.0.0.1:$port" --pid "$pid" --duration "${each}s" "$@" \
		2>>"$dir/bench.log" || die "the load failed: $(tail -n 3 "$dir/bench.log")"
}

# field KIND COLUMN: of the report on stdin. Columns: 3 ops/s, 5 p50, 7 p99, 8 p99.9 (us).
field() { awk -v kind="$1" -v column="$2" '$1 == kind { print $column; exit }'; }

# total: ops/s of the report on stdin.
total() { awk '$1 == "all" { print $3; exit }'; }

resident() { awk '/^VmRSS:/ { printf "%d", $2 / 1024 }' "/proc/$1/status"; } # PID: MiB

# halt PID: stops a server in order and waits.
halt() {
	kill "$1"
	wait "$1" || true
}

milliseconds() { echo $((($(date +%s%N) - $1) / 1000000)); } # since NANOSECONDS

row() { printf '| %s | %s | %s | %s | %s |\n' "$@"; } # LOAD JAVA MEERKAT RATIO GOAL

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", b / a }'; }

declare -A port pid_of memory reload loaded
for name in java meerkat; do
	port[$name]=$(free_port)
	configure "$name" "${port[$name]}"
	"start_$name" "$name" "${port[$name]}"
	pid_of[$name]=$pid
	say "$name: $znodes znodes"
	# Reads only, so that all znodes are as they were made; they stay.
	load "${port[$name]}" "$pid" --read 1 --znodes "$znodes" --keep >/dev/null
	memory[$name]=$(resident "$pid")
	halt "$pid"
	for _ in 1 2; do # the second time with the files in the page cache, as for the other
		began=$(date +%s%N)
		"start_$name" "$name" "${port[$name]}"
		reload[$name]=$(milliseconds "$began")
		loaded[$name]=$(resident "$pid")
		halt "$pid"
	done
done

echo "| | java | meerkat | ratio | goal at full size |"
echo "|---|---:|---:|---:|---|"
row "$znodes znodes of 100 bytes: resident MiB" "${memory[java]}" "${memory[meerkat]}" \
	"$(ratio "${memory[java]}" "${memory[meerkat]}")" "≤ 0.33"
row "the same after a restart: MiB" "${loaded[java]}" "${loaded[meerkat]}" \
	"$(ratio "${loaded[java]}" "${loaded[meerkat]}")" ""
row "restart to serving: ms" "${reload[java]}" "${reload[meerkat]}" \
	"$(ratio "${reload[java]}" "${reload[meerkat]}")" "≤ 0.5"

# Both get the same load, half of what Java can do, on a thousand znodes.
declare -A tail
for name in java meerkat; do
	rm -rf "${dir:?}/$name/data"
	configure "$name" "${port[$name]}"
	"start_$name" "$name" "${port[$name]}"
	pid_of[$name]=$pid
done
say "half load"
load "${port[java]}" "${pid_of[java]}" --read 1 --warmup 15s >/dev/null # the compiler's time
half=$(load "${port[java]}" "${pid_of[java]}" --read 1 | total)
half=$((half / 2))
for name in java meerkat; do
	tail[$name]=$(load "${port[$name]}" "${pid_of[$name]}" --read 1 --rate "$half" | field read 8)
done
row "p99.9 of $half reads/s: us" "${tail[java]}" "${tail[meerkat]}" \
	"$(ratio "${tail[java]}" "${tail[meerkat]}")" "≤ 1"
halt "${pid_of[java]}"
halt "${pid_of[meerkat]}"

say "$sessions idle sessions"
declare -A idle
for name in java meerkat; do
	rm -rf "${dir:?}/$name/data"
	configure "$name" "${port[$name]}"
	"start_$name" "$name" "${port[$name]}"
	idle[$name]=$(load "${port[$name]}" "$pid" --workload idle --connections "$sessions" |
		sed -n 's/^server.s resident memory.*, +*\([-0-9.]*\) kB per connection.*/\1/p')
	halt "$pid"
done
row "$sessions idle sessions: kB each" "${idle[java]}" "${idle[meerkat]}" \
	"$(ratio "${idle[java]}" "${idle[meerkat]}")" "≤ 6 kB"

# Meerkat alone, without snapshots and with one after the other, in turns.
# writes SNAPSHOTS ZNODES ARGUMENTS...: the report of a run of writes on a fresh server.
writes() {
	local snapshots=$1 count=$2
	shift 2
	rm -rf "${dir:?}/meerkat/data"
	configure meerkat "${port[meerkat]}"
	if [[ $snapshots == no ]]; then
		printf 'snapCount=1000000000\nsnapSizeLimitInKb=-1\n' >>"$dir/meerkat/zoo.cfg"
	fi
	start_meerkat meerkat "${port[meerkat]}"
	load "${port[meerkat]}" "$pid" --read 0 --znodes "$count" "$@"
	halt "$pid"
}

median() { sort -n | sed -n 2p; } # of three

echo
echo "| meerkat, medians of 3 | no snapshots | one after the other | ratio | goal at full size |"
echo "|---|---:|---:|---:|---|"
for count in 1000 "$znodes"; do
	declare -A full=([no]='' [yes]='') p99=([no]='' [yes]='')
	rate=''
	for round in 1 2 3; do
		say "writes with and without snapshots, $count znodes, round $round of 3"
		for snapshots in no yes; do
			full[$snapshots]+="$(writes "$snapshots" "$count" | total)"$'\n'
			[[ -n $rate ]] || rate=$((${full[no]} / 2))
			p99[$snapshots]+="$(writes "$snapshots" "$count" --rate "$rate" | field write 7)"$'\n'
		done
	done
	for snapshots in no yes; do
		full[$snapshots]=$(median <<<"${full[$snapshots]%$'\n'}")
		p99[$snapshots]=$(median <<<"${p99[$snapshots]%$'\n'}")
	done
	row "writes/s, 32 x 16, $count znodes" "${full[no]}" "${full[yes]}" \
		"$(ratio "${full[no]}" "${full[yes]}")" "≥ 0.7"
	row "p99 of $rate writes/s: us" "${p99[no]}" "${p99[yes]}" \
		"$(ratio "${p99[no]}" "${p99[yes]}")" "≤ 1.5"
done
