#!/usr/bin/env bash
# Fetches the servers and clients that tests, the demo and the benchmarks use:
#
#	deploy/dev/servers.sh [name…]        all of them without a name
#
#	postgresql-15   the system's package
#	mariadb         the system's package
#	postgresql-18   from Maven, unpacked into the cache
#	kafka           Apache Kafka from Maven, into the cache
#	mysql           MySQL 9 from Debian unstable, unpacked into the cache, not installed
#	kcat            a Kafka client, the system's package
#	python          what makes virtual environments for Python's Kafka client, the system's package
#
# What is there is left alone, so a second run takes no time. Nothing is started as a
# system service. The cache is outside the source tree: $STRAIT_SERVERS, else
# /var/cache/strait/servers for root (the servers run as another user, who may not look into
# root's home), else strait/servers in the user's cache folder.
set -euo pipefail

kafka_version=4.3.0
slf4j_version=1.7.36
postgresql18_version=18.0.0

if [ -n "${STRAIT_SERVERS:-}" ]; then
	cache=$STRAIT_SERVERS
elif [ "$(id -u)" = 0 ]; then
	cache=/var/cache/strait/servers
else
	cache=${XDG_CACHE_HOME:-$HOME/.cache}/strait/servers
fi

case $(uname -m) in
x86_64) zonky=linux-amd64 ;;
aarch64) zonky=linux-arm64v8 ;;
*) zonky=linux-$(uname -m) ;;
esac

say() { printf 'servers: %s\n' "$*"; }
die() {
	printf 'servers: %s\n' "$*" >&2
	exit 1
}

# missing_packages PACKAGE… prints those that are not installed.
missing_packages() {
	local p
	for p; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || printf '%s ' "$p"
	done
}

# apt_install PACKAGE… installs system packages without starting a service.
apt_install() {
	local want
	want=$(missing_packages "$@")
	[ -n "$want" ] || return 0
	command -v apt-get >/dev/null || die "install these with your system's package manager: $want"
	[ "$(id -u)" = 0 ] || die "not root; run: sudo apt-get install --no-install-recommends $want"
	say "apt-get install $want"
	# An hour is long enough for all of one run.
	if [ -z "$(find /var/lib/apt/lists/partial -maxdepth 0 -mmin -60 2>/dev/null)" ]; then
		apt_update
	fi
	# Without this PostgreSQL's package makes a cluster of its own, and starts it.
	if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
		mkdir -p /etc/postgresql-common
		echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
	fi
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d # clean removes it
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
	fi
	# shellcheck disable=SC2086 # a list of words
	if ! apt_quiet install --no-install-recommends $want; then
		apt_update # the lists may name what the mirror no longer has
		# shellcheck disable=SC2086
		apt_quiet install --no-install-recommends $want
	fi
	rm -f "$policy"
	policy=''
}

# clean removes what a run needs only meanwhile, however it ends.
clean() { rm -rf "$work" "$policy"; }

# apt_update reads the package lists anew. Some other source of this machine may be out of
# reach; whether that matters is for the install to say.
apt_update() { apt_quiet update || say "apt-get update did not succeed for all sources; going on"; }

# apt_quiet runs apt-get without questions and shows its output only if it fails.
apt_quiet() {
	local log
	log=$(mktemp)
	if ! DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 apt-get -y -q -o DPkg::Lock::Timeout=300 \
		-o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef "$@" >"$log" 2>&1 </dev/null; then
		tail -40 "$log" >&2
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
}

# maven GOAL FOLDER DEPENDENCY… runs a goal of the dependency plugin for dependencies
# written group:artifact:version. Where they come from is Maven's own settings' business.
maven() {
	local goal=$1 out=$2 pom log dep
	shift 2
	command -v mvn >/dev/null || apt_install maven default-jre-headless
	pom=$work/pom.xml log=$work/maven.log
	{
		echo '<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version><dependencies>'
		for dep; do
			IFS=: read -r g a v <<<"$dep"
			echo "<dependency><groupId>$g</groupId><artifactId>$a</artifactId><version>$v</version></dependency>"
		done
		echo '</dependencies></project>'
	} >"$pom"
	if ! mvn -q -B -f "$pom" "dependency:$goal" "-DoutputDirectory=$out" >"$log" 2>&1 </dev/null; then
		tail -40 "$log" >&2
		die "maven could not fetch $*"
	fi
}

# publish FOLDER gives what was made in $work/FOLDER its name in the cache.
publish() {
	chmod -R u+w,a+rX "$work/$1"
	rm -rf "${cache:?}/$1"
	mv "$work/$1" "$cache/$1"
}

have_postgresql_15() { [ -x /usr/lib/postgresql/15/bin/postgres ] || [ -x "$cache/postgresql-15/bin/postgres" ]; }
get_postgresql_15() {
	apt_install postgresql-15
	/usr/lib/postgresql/15/bin/postgres --version
}

have_mariadb() { [ -x /usr/sbin/mariadbd ] && [ -x /usr/bin/mariadb-install-db ] && [ -x /usr/bin/my_print_defaults ]; }
get_mariadb() {
	apt_install mariadb-server-core mariadb-client-core # the programs without a service
	/usr/sbin/mariadbd --version
}

have_postgresql_18() { [ -x "$cache/postgresql-18/bin/postgres" ]; }
get_postgresql_18() {
	command -v xz >/dev/null || apt_install xz-utils
	maven unpack-dependencies "$work/jar" "io.zonky.test.postgres:embedded-postgres-binaries-$zonky:$postgresql18_version"
	mkdir "$work/postgresql-18"
	tar -xJf "$work"/jar/*.txz -C "$work/postgresql-18"
	"$work/postgresql-18/bin/postgres" --version
	publish postgresql-18
}

have_kafka() { [ -e "$cache/kafka-$kafka_version/kafka_2.13-$kafka_version.jar" ] && command -v java >/dev/null; }
get_kafka() {
	command -v java >/dev/null || apt_install default-jre-headless
	maven copy-dependencies "$work/kafka-$kafka_version" \
		"org.apache.kafka:kafka_2.13:$kafka_version" "org.slf4j:slf4j-simple:$slf4j_version"
	java -cp "$work/kafka-$kafka_version/*" kafka.Kafka --version 2>/dev/null
	publish "kafka-$kafka_version"
}

have_mysql() { [ -x "$cache/mysql/usr/sbin/mysqld" ]; }
get_mysql() {
	local mirror root=$work/mysql log=$work/debootstrap.log deb loader
	command -v debootstrap >/dev/null || apt_install debootstrap
	[ "$(id -u)" = 0 ] || die "debootstrap needs root; run: sudo STRAIT_SERVERS=$cache $0 mysql"
	# The mirror that apt uses, whichever that is.
	mirror=$(apt-get indextargets 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' --format '$(REPO_URI)' | sed -n 1p)
	if [ -z "$mirror" ]; then
		apt_update
		mirror=$(apt-get indextargets 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' --format '$(REPO_URI)' | sed -n 1p)
	fi
	[ -n "$mirror" ] || die "no Debian mirror among apt's sources, where MySQL would come from"
	# The packages are unpacked and not installed: nothing in them is run but mysqld.
	if ! debootstrap --download-only --variant=minbase --include=mysql-server-core sid "$root" "$mirror" >"$log" 2>&1; then
		tail -40 "$log" >&2
		die "debootstrap could not fetch mysql-server-core"
	fi
	mkdir "$work/unpacked"
	for deb in "$root"/var/cache/apt/archives/*.deb; do
		dpkg-deb -x "$deb" "$work/unpacked"
	done
	rm -rf "$root"
	mkdir -p "$root/usr/sbin" "$root/usr/share"
	mv "$work"/unpacked/usr/lib* "$root/usr"
	mv "$work"/unpacked/usr/share/mysql* "$root/usr/share"
	mv "$work/unpacked/usr/sbin/mysqld" "$root/usr/sbin"
	loader=$(find "$root/usr" -name 'ld-linux*.so.*' -print -quit)
	"$loader" --library-path "$(echo "$root"/usr/lib/*-linux-gnu)" "$root/usr/sbin/mysqld" --no-defaults --version
	publish mysql
}

have_kcat() { command -v kcat >/dev/null; }
get_kcat() {
	apt_install kcat
	kcat -V | sed -n 3p
}

have_python() {
	local python
	for python in python3 /usr/bin/python3; do
		if "$python" -c 'import venv, ensurepip' 2>/dev/null; then return 0; fi
	done
	return 1
}
get_python() {
	apt_install python3-venv
	/usr/bin/python3 --version
}

all='postgresql-15 mariadb postgresql-18 kafka mysql kcat python'
work='' policy='' locked=''
for name in ${*:-$all}; do
	case " $all " in *" $name "*) ;; *) die "no server is called $name; there are: $all" ;; esac
	if "have_${name//-/_}"; then continue; fi
	if [ -z "$locked" ]; then
		mkdir -p "$cache"
		exec 9>"$cache/.lock"
		flock 9
		locked=yes
		if "have_${name//-/_}"; then continue; fi # another run has fetched it meanwhile
	fi
	say "fetching $name"
	work=$(mktemp -d "$cache/.fetching-XXXXXX")
	(
		trap clean EXIT
		"get_${name//-/_}"
	)
done
