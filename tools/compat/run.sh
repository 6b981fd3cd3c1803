#!/bin/sh
# Runs every compatibility suite against a server: `make compat`.
#
# TARGET=java runs them against Debian's Java ZooKeeper instead, which proves the suites.
# SUITES="wire random raw gozk kazoo c curator zkcli takeover ensemble realcfg names" picks some;
# random and raw compare a Java server and Meerkat side by side, over random scripts and over raw
# bytes, malformed ones among them (MEERKAT_RAW=20000 requests), takeover moves data
# directories between the two (at full scale with MEERKAT_TAKEOVERS=20
# MEERKAT_TAKEOVER_ZNODES=100000), ensemble has Java servers and Meerkat's election elect together,
# realcfg starts both from each zoo.cfg of server/zoocfg/testdata/real (MEERKAT_REAL=20: Java from
# 20 of them), names compares what monitors ask for. What is missing on the machine is installed by
# apt-get.
# Servers listen on loopback (realcfg has a network of its own, for some zoo.cfg files say all
# interfaces), on free ports, in temporary directories, and end with the suite.
#
# Prints a line for each test, one for each suite, and at last "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 2

TARGET=${TARGET:-meerkat}
all="wire gozk kazoo c curator zkcli"
if [ "$TARGET" != java ]; then all="$all random raw takeover ensemble realcfg names"; fi
SUITES=${SUITES:-$all}
export TARGET COMPAT=1
python=/usr/bin/python3 # Debian's own: python3-kazoo is installed for it alone

install() { # package names
	echo "installing $*"
	if [ "$(id -u)" -eq 0 ]; then sudo=; else sudo=sudo; fi
	$sudo apt-get -o DPkg::Lock::Timeout=300 update -qq >/dev/null &&
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
			install -y -qq --no-install-recommends "$@" >/dev/null
}

missing=
case $SUITES in *kazoo*)
	$python -c 'import kazoo' 2>/dev/null || missing="$missing python3-kazoo" ;;
esac
for suite in $SUITES; do if [ "$suite" = c ]; then
	command -v cc >/dev/null || missing="$missing gcc libc6-dev"
	[ -e /usr/include/zookeeper/zookeeper.h ] || missing="$missing libzookeeper-mt-dev"
fi; done
case $SUITES in *realcfg*)
	command -v ip >/dev/null || missing="$missing iproute2" ;;
esac
case $SUITES in *names*)
	command -v promtool >/dev/null || missing="$missing prometheus" ;;
esac
case "$TARGET $SUITES" in
java* | *random* | *raw* | *names* | *takeover* | *ensemble* | *realcfg* | *zkcli* | *curator*)
	command -v java >/dev/null || missing="$missing default-jre-headless"
	[ -e /usr/share/java/zookeeper.jar ] || missing="$missing zookeeper libzookeeper-java"
	[ -e /usr/share/java/slf4j-simple.jar ] || missing="$missing libslf4j-java" ;;
esac
case $SUITES in *takeover* | *curator*)
	command -v javac >/dev/null || missing="$missing default-jdk-headless" ;;
esac
case $SUITES in *curator*)
	# The recipes bring the framework and the client.
	[ -e /usr/share/java/curator-recipes.jar ] || missing="$missing libcurator-recipes-java" ;;
esac
if [ -n "$missing" ]; then
	# shellcheck disable=SC2086 # a list of names
	install $missing || exit 2
fi

if [ "$TARGET" != java ]; then
	if [ -z "${MEERKAT_BIN:-}" ]; then
		# With every record read back before it is logged.
		make -s build TAGS=verify OUT=bin/meerkat-verify || exit 2
		MEERKAT_BIN=$PWD/bin/meerkat-verify
	fi
	export MEERKAT_BIN
fi

out=$(mktemp) || exit 2
trap 'rm -f "$out"' EXIT
passed=0 failed=0

count() { # suite, exit status: adds up the lines "ok …" and "FAIL …" of $out
	ok=$(grep -c '^ok ' "$out") fail=$(grep -c '^FAIL ' "$out")
	# A suite that ends badly without naming a test has failed, too.
	if [ "$2" -ne 0 ] && [ "$fail" -eq 0 ]; then fail=1; fi
	if [ "$((ok + fail))" -eq 0 ]; then fail=1; fi
	passed=$((passed + ok)) failed=$((failed + fail))
	echo "== $1 against $TARGET: $ok passed, $fail failed"
}

# A command's own network, which has nothing but loopback.
alone() { unshare --map-root-user --net sh -c 'ip link set lo up && exec "$@"' alone "$@"; }
within=

go_suite() { # name, package, flags: prints a line for each test that has no subtests, and why any failed
	suite=$1 package=$2
	shift 2
	$within go test -v -count=1 -timeout 20m "$@" "./tools/compat/$package" >"$out.raw" 2>&1
	status=$?
	awk -v suite="$suite" '
		/^ *--- (PASS|FAIL): / {
			name = $3; word = $2 == "PASS:" ? "ok  " : "FAIL"
			lines[++n] = word " " suite " " name " " $4 " " $5
			names[n] = name; next
		}
		END {
			for (i = 1; i <= n; i++) {
				parent = 0
				for (j = 1; j <= n; j++) if (index(names[j], names[i] "/") == 1) parent = 1
				if (!parent) { sub(/ +$/, "", lines[i]); print lines[i] }
			}
		}' "$out.raw" >"$out"
	if [ "$status" -ne 0 ]; then cat "$out.raw"; fi
	cat "$out"
	rm -f "$out.raw"
	count "$suite" "$status"
}

for suite in $SUITES; do
	case $suite in
	wire | gozk | c | curator | zkcli) go_suite "$suite" "$suite" ;;
	random) TARGET=both go_suite random wire -run TestRandom ;;
	ensemble) TARGET=both go_suite ensemble ensemble ;;
	realcfg) TARGET=both within=alone go_suite realcfg realcfg -parallel 2 ;;
	names) TARGET=both go_suite names names ;;
	raw) TARGET=both go_suite raw wire -run TestRaw ;;
	takeover) TARGET=both go_suite takeover takeover -timeout 3h ;;
	kazoo)
		$python tools/compat/kazoo_suite.py >"$out.raw" 2>&1
		status=$?
		cat "$out.raw"
		mv "$out.raw" "$out"
		count kazoo "$status"
		;;
	*)
		echo "no suite $suite" >&2
		exit 2
		;;
	esac
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
