# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Debian's packages through an apt root of our own.  It uses the mirrors of the
# machine's apt set-up and does not change that.  To be read after lib.sh.

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

# What kinds of packages the private apt root knows: deb, deb-src.
apt_types=(deb)

# open_apt NAME SUITE...: make the private apt root NAME, with these suites, and
# read their lists.  A suite that the machine itself does not use comes from a mirror
# that it does use: security suites from the security mirror, others from the main one.
open_apt() {
	local suite uri type found
	apt_root=$AVIC_CACHE/apt/$1
	shift
	mkdir -p "$apt_root/lists/partial" "$apt_root/cache/archives/partial"
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
	logged "$apt_root/update.log" private_apt apt-get update --error-on=any ||
		broke "reading Debian's package lists (log: $apt_root/update.log)" \
			"check the network and run again, or give TREE="
}

private_apt() {
	local cmd=$1
	shift
	"$cmd" \
		--option Dir::Etc::SourceList="$apt_root/sources.list" \
		--option Dir::Etc::SourceParts=/dev/null \
		--option Dir::State::Lists="$apt_root/lists" \
		--option Dir::Cache="$apt_root/cache" \
		--option Acquire::Languages=none \
		--option Acquire::Retries=2 \
		--option APT::Sandbox::User=root \
		"$@"
}

# newest PACKAGE RANGE: its newest version within the range, nothing if there is none.
newest() {
	private_apt apt-cache madison "$1" |
		awk -F '|' '
			{ gsub(/ /, "") }
			$3 ~ /Packages$/ { print $2 }' |
		within "$2" |
		sort --version-sort --unique |
		tail --lines=1
}

# download PACKAGE VERSION FILE.  apt's own helper resumes a broken download;
# apt-get download does not.  What to get, and its hash, still come from the
# signed lists.
download() {
	local package=$1 version=$2 file=$3 uri hash
	read -r uri _ _ hash < <(private_apt apt-get download --print-uris "$package=$version")
	say "downloading $package $version"
	private_apt /usr/lib/apt/apt-helper download-file "${uri//\'/}" "$file" "$hash" >&2 ||
		broke "download of $package $version" "run again, it resumes"
}
