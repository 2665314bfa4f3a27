# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Debian's packages through an apt root of our own.  It uses the mirrors of the
# machine's apt set-up and does not change that.  To be read after lib.sh.

# AVIC_KEYRING= is for a mirror that somebody else signs.
keyring=${AVIC_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}

# The machine's mirrors of Debian, as "URI suite" lines.  They are chosen by suite
# and component, because apt knows the origin only after an update.  Whether it
# really is Debian, the signature decides.
mirrors() {
	# shellcheck disable=SC2016 # these are for apt, not for the shell
	apt-get indextargets \
		--no-release-info \
		--format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' |
		sed --quiet --regexp-extended \
			's/^(\S+ (bullseye|bookworm|trixie|forky|sid|stable|testing|unstable)(-security)?) main$/\1/p' |
		sort --unique
}

# What the machine's own settings must not change: lists are signed, and nothing else is run.
# Whether a list may have expired is left to them, as frozen mirrors are in use; it is said.
apt_trust='Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Check-Date "true";
APT::Get::AllowUnauthenticated "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;'

# What kinds of packages the private apt root knows: deb, deb-src.
apt_types=(deb)

# open_downloads NAME: fills `apt_root`, a folder of the cache for what apt gets.
open_downloads() {
	apt_root=$AVIC_CACHE/$1
	alone "$apt_root" "downloads into $apt_root"
	mkdir -p "$apt_root/lists/partial" "$apt_root/cache/archives/partial"
	printf '%s\n' "$apt_trust" >"$apt_root/apt.conf"
}

# open_apt NAME SUITE...: make the private apt root NAME, with these suites, and
# read their lists.  A suite that the machine itself does not use comes from a mirror
# that it does use: security suites from the security mirror, others from the main one.
open_apt() {
	local suite uri type found valid
	[[ -r $keyring ]] ||
		fail 2 "no keyring $keyring, to check Debian's signature by: scripts/setup installs it, or give AVIC_KEYRING="
	open_downloads "apt/$1"
	shift
	found=$(mirrors)
	for suite in "$@"; do
		if [[ $suite == *-security ]]; then
			uri=$(awk '$2 ~ /-security$/ { print $1; exit }' <<<"$found")
		else
			uri=$(awk '$2 !~ /-/ { print $1; exit }' <<<"$found")
		fi
		[[ -n $uri ]] || continue
		for type in "${apt_types[@]}"; do
			printf '%s [signed-by=%s] %s %s main\n' "$type" "$keyring" "$uri" "$suite"
		done
	done >"$apt_root/sources.list"
	[[ -s $apt_root/sources.list ]] ||
		fail 2 "no Debian mirror in this machine's apt configuration: add one, or give TREE="
	eval "$(apt-config shell valid Acquire::Check-Valid-Until/b)"
	[[ ${valid:-true} == true ]] ||
		say "lists may have expired, and be old: this machine's apt has Acquire::Check-Valid-Until off"
	logged "$apt_root/update.log" private_apt apt-get update --error-on=any ||
		broke "reading Debian's package lists (log: $apt_root/update.log)" \
			"check the network and run again, or give TREE="
}

private_apt() {
	local cmd=$1
	shift
	"$cmd" \
		--config-file="$apt_root/apt.conf" \
		--option Dir::Etc::SourceList="$apt_root/sources.list" \
		--option Dir::Etc::SourceParts=/dev/null \
		--option Dir::State::Lists="$apt_root/lists" \
		--option Dir::Cache="$apt_root/cache" \
		--option Acquire::Languages=none \
		--option Acquire::Retries=2 \
		--option APT::Sandbox::User=root \
		"$@"
}

# package_versions PACKAGE: those that the lists have.
package_versions() {
	private_apt apt-cache madison "$1" |
		awk -F '|' '
			{ gsub(/ /, "") }
			$3 ~ /Packages$/ { print $2 }'
}

# get URL FILE [HASH]: by apt's helper, as it resumes, and knows this machine's proxies.
get() {
	private_apt /usr/lib/apt/apt-helper download-file "$@" >"$apt_root/get.log" 2>&1
}

# download WHAT URL FILE HASH: the same for what takes a while, and shows how far it is.
download() {
	say "downloading $1"
	private_apt /usr/lib/apt/apt-helper download-file "${@:2}" >&2 ||
		broke "download of $1 from $2" "run again, it resumes"
}
