# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Releases of kernel.org, for a base whose file has Source and not Package.  To be
# read after lib.sh.  What is downloaded here is trusted for its signature alone, by the
# key that the base's file names (ci/keys).
#
# shellcheck disable=SC2154 # top and base_file are lib.sh's

# get URL FILE [HASH]: by apt's helper, as it resumes, and knows this machine's proxies.
get() {
	/usr/lib/apt/apt-helper download-file "$@" >"$releases/get.log" 2>&1
}

# open_releases: read the list of what is where the base's Source is.
open_releases() {
	source=$(base_field Source)
	releases=$AVIC_CACHE/kernel.org/$BASE
	mkdir -p "$releases"
	rm --force -- "$releases/list"
	get "${source%/*}/sha256sums.asc" "$releases/list" ||
		fail 1 "the source of $BASE can't be had from $(awk -F/ '{ print $3 }' <<<"$source") (log: $releases/get.log): check the network, or give TREE=, a git tree of it"
}

# releases: "VERSION HASH" of each release in the list.
releases() {
	local name=${source##*/}
	sed --quiet --regexp-extended \
		"s/^([0-9a-f]{64})  ${name/'*'/([0-9.]+)}\$/\2 \1/p" "$releases/list"
}

# newest_release RANGE: the newest version within the range, nothing if there is none.
newest_release() {
	releases | cut --delimiter=' ' --fields=1 | within "$1" | sort --version-sort | tail --lines=1
}

# download_release VERSION: its tarball and the signature; fills `tarball`.
download_release() {
	local url=${source/'*'/$1} hash
	tarball=$releases/${url##*/}
	hash=$(releases | awk -v version="$1" '$1 == version { print $2 }')
	say "downloading ${url##*/} (about 150 MB)"
	get "$url" "$tarball" "SHA256:$hash" ||
		broke "download of $url (log: $releases/get.log)" "run again, it resumes"
	rm --force -- "$tarball.sign"
	get "${url%.xz}.sign" "$tarball.sign" ||
		broke "download of ${url%.xz}.sign (log: $releases/get.log)" "run again"
	verify "$(base_field Key)"
}

# verify KEY: the signature is that of the unpacked tarball, as kernel.org has it.
verify() {
	local key=$1 file=$top/ci/keys/$1.asc work=$releases/verify.$$
	[[ -f $file ]] || fail 1 "no key ${file#"$top"/}: $base_file names it"
	say "checking the signature (about 15 s)"
	aside+=("$work")
	mkdir --mode=700 "$work"
	gpg --homedir "$work" --dearmor <"$file" >"$work/key"
	xz --decompress --stdout "$tarball" |
		gpgv --status-fd=3 --keyring "$work/key" "$tarball.sign" - 3>"$work/status" 2>"$releases/verify.log" ||
		true
	grep --quiet "^\[GNUPG:\] VALIDSIG .*\b$key\$" "$work/status" || {
		rm --force -- "$tarball" "$tarball.sign"
		fail 1 "${tarball##*/} is not what the key $key signed (log: $releases/verify.log): it is removed; run again, and tell kernel.org if it stays so"
	}
}
