# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A base's source: Debian's package (Package in its file), or a release of kernel.org
# (Source).  To be read after lib.sh.  Debian's package is trusted for Debian's signature,
# the release for that of the key which the base's file names (ci/keys).
#
# shellcheck disable=SC2034,SC2154 # what is read from here, and from lib.sh

. "$top/scripts/apt.sh"

# read_source: fills `package` or `source`, and `range`, from the base's file.
read_source() {
	package=$(base_field Package)
	source=$(base_field Source)
	range=$(base_field Range)
	[[ -n $package$source ]] ||
		fail 2 "$base_file names no Package and no Source: add one, or give TREE=, a git tree of it"
	[[ $range =~ ^([0-9.]*\*|[0-9]+\.[0-9]+(\.[0-9]+)?-)$ ]] ||
		fail 1 "$base_file: Range is '$range': want 6.18.*, 6.18.39- or 6.18-"
}

# within RANGE: of the versions on stdin, one a line, those that a base's Range means.
# 6.12.* is any point release, 6.18.39- is 6.18.39 and every later one of 6.18.
within() {
	local version first=${1%-} of
	[[ ! $first =~ ^[0-9]+\.[0-9]+ ]] || of=${BASH_REMATCH[0]}
	while read -r version; do
		if [[ $1 == "$first" ]]; then
			# shellcheck disable=SC2053 # the range is a pattern
			[[ $version == $1 ]] || continue
		else
			[[ $version == "$of" || $version == "$of"[.-]* ]] || continue
			printf '%s\n' "$first" "$version" | sort --version-sort --check=quiet || continue
		fi
		printf '%s\n' "$version"
	done
}

# open_source NAME: make ready to ask for versions; what is kept for that has the name.
open_source() {
	local suites
	if [[ -n $package ]]; then
		read -r -a suites < <(base_field Suites)
		say "asking Debian for the newest $package ($range)"
		open_apt "$1" "${suites[@]}"
	else
		say "asking kernel.org for the newest release ($range)"
		open_releases "$1"
	fi
}

# versions: those within the range, the newest last.
versions() {
	if [[ -n $package ]]; then
		package_versions "$package"
	else
		releases | cut --delimiter=' ' --fields=1
	fi | within "$range" | sort --version-sort --unique
}

# newest: the newest version within the range, nothing if there is none.
newest() {
	versions | tail --lines=1
}

# keep_newest VERSION: that the base's newest is this one today, for the report.
keep_newest() {
	mkdir -p "$AVIC_CACHE/newest"
	printf '%s %s\n' "$1" "$(date +%F)" >"$AVIC_CACHE/newest/.$BASE.$$"
	mv "$AVIC_CACHE/newest/.$BASE.$$" "$AVIC_CACHE/newest/$BASE"
}

# get_tarball VERSION FOLDER: fills `tarball`, perhaps with a file in the folder, and
# `inside`, the name of what it has to contain.
get_tarball() {
	if [[ -n $package ]]; then
		get_package "$1" "$2"
	else
		get_release "$1"
	fi
}

get_package() {
	local deb=$apt_root/$package-$1.deb uri hash
	# What to get, and its hash, come from the signed lists.
	read -r uri _ _ hash < <(private_apt apt-get download --print-uris "$package=$1")
	download "$package $1" "${uri//\'/}" "$deb" "$hash"
	say "unpacking $(basename "$deb") (about 20 s)"
	dpkg-deb --extract "$deb" "$2" || broke "unpacking $deb"
	tarball=$2/usr/src/$package.tar.xz
	inside='*'
}

# open_releases NAME: read the list of what is where the base's Source is.
open_releases() {
	open_downloads "kernel.org/$1"
	rm --force -- "$apt_root/list"
	get "${source%/*}/sha256sums.asc" "$apt_root/list" ||
		fail 1 "the source of $BASE can't be had from $(awk -F/ '{ print $3 }' <<<"$source") (log: $apt_root/get.log): check the network, or give TREE=, a git tree of it"
	# A list without any is not one that has none of the range.
	[[ -n $(releases) ]] ||
		fail 1 "${source%/*}/sha256sums.asc lists no ${source##*/}: it is not what it was (see $apt_root/list); give TREE=, a git tree of it"
}

# releases: "VERSION HASH" of each release in the list.
releases() {
	local name=${source##*/}
	sed --quiet --regexp-extended \
		"s/^([0-9a-f]{64})  ${name/'*'/([0-9.]+)}\$/\2 \1/p" "$apt_root/list"
}

get_release() {
	local url=${source/'*'/$1} hash key
	tarball=$apt_root/${url##*/}
	inside=linux-$1
	key=$(base_field Key)
	hash=$(releases | awk -v version="$1" '$1 == version { print $2 }')
	download "${url##*/} (about 150 MB)" "$url" "$tarball" "SHA256:$hash"
	rm --force -- "$tarball.sign"
	get "${url%.xz}.sign" "$tarball.sign" ||
		broke "download of ${url%.xz}.sign (log: $apt_root/get.log)" "run again"
	say "checking the signature (about 15 s)"
	check_signature "$key"
}

# check_signature KEY: the key signed the unpacked tarball, as kernel.org has it.
check_signature() {
	local why status=0
	why=$("$top/scripts/signature" "$1" "$tarball") || status=$?
	# Only what is known to be wrong is removed.
	[[ $status -ne 1 || -z $why ]] || rm --force -- "$tarball" "$tarball.sign"
	[[ $status -eq 0 ]] || fail 1 "${tarball##*/} ${why:-could not be checked: see above}"
}

# as_committed REPO: files there are what its commits have, byte for byte, and so is what is unpacked
# of it, whatever the tree's attributes say to git: quilt and patch do not know these.
as_committed() {
	mkdir -p "$1/.git/info"
	echo '* -text -ident -filter -working-tree-encoding -export-ignore -export-subst' >"$1/.git/info/attributes"
}

# commit_base REPO NAME: make a git tree of unpacked source; branch base is its one commit.
commit_base() {
	local repo=$1 name=$2
	# With Debian's own lines git would take no new file of the user's.
	[[ ! -f $repo/.gitignore ]] ||
		sed --in-place '\|^/\*$|d; \|^!/debian/$|d' "$repo/.gitignore"
	git -C "$repo" init --quiet --initial-branch=base
	as_committed "$repo"
	git -C "$repo" config core.looseCompression 1
	git -C "$repo" config gc.auto 0
	git -C "$repo" add --all --force .
	GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' \
		git -C "$repo" \
		-c user.name=base \
		-c user.email=base@localhost \
		commit --quiet --message="$name"
}
