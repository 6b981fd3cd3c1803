# Starts and stops the two servers that are compared; run.sh and large.sh source it, in the
# project's folder, with "set -euo pipefail". It makes $dir, which goes with the script.

say() { echo "versus: $*" >&2; }
die() { say "$*"; exit 1; }

java_jar=/usr/share/java/zookeeper.jar
if [[ ! -e $java_jar ]] || ! command -v java >/dev/null; then
	say "installing Debian's zookeeper"
	sudo=()
	((EUID == 0)) || sudo=(sudo)
	"${sudo[@]}" apt-get update -qq
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
		--no-install-recommends zookeeper default-jre-headless >&2
fi

meerkat=${MEERKAT:-bin/meerkat}
if [[ -z ${MEERKAT:-} ]]; then
	make -s build
fi

mkdir -p "${VERSUS_DIR:-/var/tmp}"
dir=$(mktemp -d "${VERSUS_DIR:-/var/tmp}/meerkat-versus.XXXXXX")
pids=()
stop() {
	local status=$?
	trap - EXIT INT TERM
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	for pid in "${pids[@]}"; do
		for ((i = 0; i < 100; i++)); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -9 "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	if ((status != 0)); then
		for log in "$dir"/*/out.log; do
			[[ -s $log ]] && { say "last lines of $log:"; tail -n 5 "$log" >&2; }
		done
	fi
	rm -rf "$dir"
	exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

case $(stat -f -c %T "$dir") in
tmpfs | ramfs) die "$dir is in memory, where fsync costs nothing; set VERSUS_DIR to a disk" ;;
esac

# answers HOST_PORT: true when srvr tells a mode.
answers() {
	local reply
	reply=$( (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf srvr >&3 && timeout 2 cat <&3) \
		2>/dev/null) || true
	[[ $reply == *Mode:* ]]
}

# free_port: below the range that the kernel hands out to clients.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 10000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

# configure NAME PORT: the settings are equal but for the port and the directory. The limit of
# connections per address is lifted, for all load comes from one; Java's HTTP server is off,
# for its port is fixed.
configure() {
	mkdir -p "$dir/$1/data"
	cat >"$dir/$1/zoo.cfg" <<-CFG
		tickTime=2000
		initLimit=10
		syncLimit=5
		dataDir=$dir/$1/data
		clientPort=$2
		clientPortAddress=127.0.0.1
		maxClientCnxns=0
		admin.enableServer=false
	CFG
}

# started NAME PORT PID: waits until the server serves.
started() {
	for ((i = 0; i < 300; i++)); do
		kill -0 "$3" 2>/dev/null || die "$1 has ended"
		answers "$2" && return
		sleep 0.1
	done
	die "$1 does not answer srvr on port $2"
}

# start_java NAME PORT OUT, start_meerkat NAME PORT: start on NAME's configuration, wait until
# it serves, and leave the process in $pid.
start_java() {
	java -Xmx4g -cp "$java_jar" -Dzookeeper.log.dir="$dir/$1" \
		org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/$1/zoo.cfg" \
		>>"$dir/$1/out.log" 2>&1 &
	pid=$!
	pids+=("$pid")
	started "$1" "$2" "$pid"
}

start_meerkat() {
	"$meerkat" server "$dir/$1/zoo.cfg" >>"$dir/$1/out.log" 2>&1 &
	pid=$!
	pids+=("$pid")
	started "$1" "$2" "$pid"
}
