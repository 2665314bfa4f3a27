# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script here shares: where things are, and how they speak.
# Results go to stdout (a path, a table), everything else to stderr.

# The caller's options of tar and xz would decide what a base is made of.
unset TAR_OPTIONS XZ_OPT XZ_DEFAULTS

set -Eeuo pipefail
shopt -s inherit_errexit

# read_options ARGUMENT...: --help prints the script's head; --name VALUE, or --name for
# one that the head has as NAME=1, sets a variable that the head names.  The other
# arguments are left in $arguments.
read_options() {
	local head name
	arguments=()
	[[ $# -gt 0 ]] || return 0
	head=$(sed --quiet '4,/^$/{s/^# \{0,1\}//p}' "$0")
	while [[ $# -gt 0 ]]; do
		name=${1%%=*}
		name=${name#--}
		name=${name^^}
		name=${name//-/_}
		if [[ $1 == -h || $1 == --help ]]; then
			printf '%s\n' "$head"
			exit 0
		elif [[ $1 != --* ]]; then
			arguments+=("$1")
		elif [[ ! $head =~ (^|[^A-Z_])$name= ]]; then
			printf '%s: no option %s: see %s --help\n' "$verb" "'$1'" "$verb" >&2
			exit 2
		elif [[ $1 == *=* ]]; then
			export "$name=${1#*=}"
		elif [[ $head =~ (^|[^A-Z_])$name=1([^0-9]|$) ]]; then
			export "$name=1"
		elif [[ $# -gt 1 ]]; then
			export "$name=$2"
			shift
		else
			printf '%s: %s wants a value: see %s --help\n' "$verb" "$1" "$verb" >&2
			exit 2
		fi
		shift
	done
}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
verb=$(basename "$0")
read_options "$@"
set -- "${arguments[@]}"
BASE=${BASE:-v6.12}
AVIC_CACHE=${AVIC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/avic}
JOBS=${JOBS:-$(nproc)}
V=${V:-}

say() {
	printf '%4ds  %s: %s\n' "$SECONDS" "$verb" "$*" >&2
}

# fail STATUS MESSAGE: 1 is a failed check, 2 is wrong use or a missing tool.
fail() {
	printf '%s: %s\n' "$verb" "$2" >&2
	exit "$1"
}

# no_arguments: the script takes none.
no_arguments() {
	[[ ${#arguments[@]} -eq 0 ]] || fail 2 "takes no argument '${arguments[0]}': see $verb --help"
}

# broke WHAT [HINT]: a step failed; a full disk is a likely cause that says nothing itself.
broke() {
	local free
	free=$(df --output=avail --block-size=1K "$AVIC_CACHE" | tail --lines=1)
	[[ $free -gt 65536 ]] ||
		fail 1 "$1 failed: the disk is full at $AVIC_CACHE ($free KiB left): make room and run again"
	fail 1 "$1 failed: ${2:-see above, fix it and run again}"
}

# A command that fails where nothing here expects it: say which one, and where.
unexpected() {
	[[ $BASH_SUBSHELL -gt 0 ]] || broke "'$3' (${1##*/} line $2)"
}
trap 'unexpected "${BASH_SOURCE[0]}" $LINENO "$BASH_COMMAND"' ERR

# Run a long command with its output in a log, shown as well if V=1 asks for
# it.  On failure the last lines are shown, so that nobody has to open the log first.
logged() {
	local log=$1
	shift
	mkdir -p "$(dirname "$log")"
	if [[ -n $V ]]; then
		"$@" 2>&1 | tee "$log" >&2
	elif ! "$@" >"$log" 2>&1; then
		tail --lines=15 "$log" >&2
		return 1
	fi
}

# pack_initramfs ROOT FILE: the same content gives the same file, byte for byte, so
# that its hash can be a cache key.
pack_initramfs() {
	find "$1" -exec touch --no-dereference --date=@0 {} +
	(cd "$1" && find . -print0 |
		LC_ALL=C sort --zero-terminated |
		cpio --quiet --null --create --format=newc --reproducible --owner=0:0) >"$2"
}

# fragments CONFIG: the files of configs/ that make up a configuration: first those
# that its head names behind `On top of`, then its own.
fragments() {
	local name
	while read -r name; do
		fragments "$name"
	done < <(sed --quiet 's/^# On top of: *//p' "$top/configs/$1.config")
	printf '%s\n' "$top/configs/$1.config"
}

patches=$top/patches/$BASE
base_file=$patches/base

need_base() {
	[[ -f $base_file ]] ||
		fail 2 "no base '$BASE': patches/ has $(cd "$top/patches" && printf '%s ' */); set BASE="
}

# base_field NAME: one field of the base file.
base_field() {
	sed --quiet "s/^$1: *//p" "$base_file"
}

# within RANGE: of the versions on stdin, one a line, those that a base's Range means.
# 6.12.* is any point release, 6.18.39- is 6.18.39 and every later one of 6.18.
within() {
	local version first=${1%-}
	while read -r version; do
		if [[ $1 == "$first" ]]; then
			# shellcheck disable=SC2053 # the range is a pattern
			[[ $version == $1 ]] || continue
		else
			[[ $version == "${first%.*}".* ]] || continue
			printf '%s\n' "$first" "$version" | sort --version-sort --check=quiet || continue
		fi
		printf '%s\n' "$version"
	done
}

# A file or folder is either complete or not there.  It is made under a temporary
# name, listed here, and renamed at the end.  If the script ends before that, the
# temporary one is removed.
aside=()
cleanup() {
	local path
	# A Ctrl-C from here on would end rm as well, half-way.
	trap '' INT TERM HUP
	for path in "${aside[@]}"; do
		rm --recursive --force -- "$path"
	done
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
