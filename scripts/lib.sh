# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script here shares: where things are, and how they speak.
# Results go to stdout (a path, a table), everything else to stderr.

set -Eeuo pipefail
shopt -s inherit_errexit

# read_options ARGUMENT...: --help prints the script's head; --name VALUE, or --name for
# one that the head has as NAME=1, sets a variable that the head names.  What is left is
# in $arguments.
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

# broke WHAT [HINT]: a step broke off; a full disk is the likely and silent cause.
broke() {
	local free
	free=$(df --output=avail --block-size=1K "$AVIC_CACHE" | tail --lines=1)
	[[ $free -gt 65536 ]] ||
		fail 1 "$1 broke off: the disk is full at $AVIC_CACHE ($free KiB left): make room and run again"
	fail 1 "$1 broke off: ${2:-see above, mend it and run again}"
}

# A failure that no line here expected still says what and where.
unexpected() {
	[[ $BASH_SUBSHELL -gt 0 ]] || broke "'$3' (${1##*/} line $2)"
}
trap 'unexpected "${BASH_SOURCE[0]}" $LINENO "$BASH_COMMAND"' ERR

# Run a long command with its output in a log, shown as well if V=1 asks for
# it; on failure the last lines are shown, because nobody opens a log first.
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

# pack_initramfs ROOT FILE: the same content gives the same file, so that what
# is made of it can be keyed by it.
pack_initramfs() {
	find "$1" -exec touch --no-dereference --date=@0 {} +
	(cd "$1" && find . -print0 |
		LC_ALL=C sort --zero-terminated |
		cpio --quiet --null --create --format=newc --reproducible --owner=0:0) >"$2"
}

# fragments CONFIG: the files of configs/ that make it up, those that its first
# lines name before its own.
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

# One file or folder either is there whole or is not there: what is made aside
# carries this process's number, and goes when the script ends before renaming.
aside=()
cleanup() {
	local path
	# Ctrl-C now would end rm as well, and not bring it back.
	trap '' INT TERM HUP
	for path in "${aside[@]}"; do
		rm --recursive --force -- "$path"
	done
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
