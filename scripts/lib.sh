# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script here shares: where things are, and how they speak.
# Results go to stdout (a path, a table), everything else to stderr.

set -Eeuo pipefail
shopt -s inherit_errexit

# make_known: the environment as scripts/environment says; avic/environment.py does the same.
make_known() {
	local name mark value names words=()
	local -A values=() kept=()
	while read -r name mark value; do
		case $name:$mark in
		:* | '#'*) ;;
		*:=) values[$name]=${value/#HERE/"$top/scripts"} ;;
		*:'->') kept[$name]=$value ;;
		*) read -r -a words <<<"${words[*]} $name $mark $value" ;;
		esac
	done <"$top/scripts/environment"
	for name in "${!kept[@]}"; do
		# Below another script of ours it is ours by now, and the caller's is kept already.
		[[ ! -v $name || ${!name} == "${values[$name]:-}" ]] || export "${kept[$name]}=${!name}"
	done
	for name in "${words[@]}"; do
		names=("$name")
		[[ $name != *'*' ]] || mapfile -t names < <(compgen -e "${name%'*'}")
		# Bash complains of a locale that is not there.
		unset "${names[@]}" 2>/dev/null
	done
	for name in "${!values[@]}"; do
		export "$name=${values[$name]}"
	done
	umask 022
}

# callers_git ARGUMENT...: git with the caller's settings instead of ours.
callers_git() (
	local name
	for name in $(compgen -e GIT_); do
		unset "$name"
	done
	for name in $(compgen -e CALLERS_); do
		export "${name#CALLERS_}=${!name}"
	done
	git "$@"
)

# cache_place: AVIC_CACHE, as avic/paths.py has it.
cache_place() {
	[[ -n ${HOME:-} ]] || HOME=$(getent passwd "$(id --user)" | cut --delimiter=: --fields=6) || true
	if [[ -z ${AVIC_CACHE:-} ]]; then
		if [[ -z ${XDG_CACHE_HOME:-} ]]; then
			[[ -d $HOME ]] || fail 2 "no home folder: set HOME, or AVIC_CACHE"
			# sudo may keep the caller's HOME: root's files there would stop that user's next run.
			[[ $(id --user) -ne 0 || -O $HOME ]] ||
				fail 2 "HOME=$HOME belongs to another user than root: run this as that user, or set AVIC_CACHE"
		fi
		AVIC_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/avic
	fi
	[[ $AVIC_CACHE == /* ]] || AVIC_CACHE=$PWD/$AVIC_CACHE
	export AVIC_CACHE HOME
}

# stand: fills `its_base` and `its_tree` if one stands in a tree of the cache, as avic/base.py does.
stand() {
	local here
	here=$(pwd -P)/
	its_base='' its_tree=''
	# shellcheck disable=SC2034 # scripts/fetch reads it
	[[ $here != "$(realpath --canonicalize-missing "$AVIC_CACHE")"/base/*/*/ ]] ||
		IFS=/ read -r its_base its_tree _ <<<"${here#"$(realpath "$AVIC_CACHE")"/base/}"
}

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

say() {
	printf '%4ds  %s: %s\n' "$SECONDS" "$verb" "$*" >&2
}

# fail STATUS MESSAGE: 1 is a failed check, 2 is wrong use or a missing tool.
fail() {
	local form='%s: %s\n'
	# As avic/process.py does.
	[[ ! -t 2 || -n ${NO_COLOR:-} ]] || form='\e[31m%s: %s\e[m\n'
	# shellcheck disable=SC2059
	printf "$form" "$verb" "$2" >&2
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

# base_names: of all bases, the oldest kernel's first.
base_names() {
	(cd "$top/patches" && printf '%s\n' */base) | sed 's,/base$,,' | sort --version-sort
}

need_base() {
	[[ -f $base_file ]] ||
		fail 2 "no base '$BASE': patches/ has $(cd "$top/patches" && printf '%s ' */); set BASE="
}

# base_field NAME: one field of the base file.
base_field() {
	sed --quiet "s/^$1: *//p" "$base_file"
}

# A file or folder is either complete or not there.  It is made under a temporary
# name, listed here, and renamed at the end.  If the script ends before that, the
# temporary one is removed.
aside=()
cleanup() {
	# A Ctrl-C from here on would end rm as well, half-way.
	trap '' INT TERM HUP
	# What a child has started (dpkg-deb's tar) may outlive it, and write for a moment more.
	for _ in {1..50}; do
		rm --recursive --force -- "${aside[@]}" 2>/dev/null && return 0
		sleep 0.1
	done
	rm --recursive --force -- "${aside[@]}"
}

# need_cache FOLDER: a folder of the cache, made if it is not there.
need_cache() {
	if ! mkdir -p "$1" 2>/dev/null && [[ -w $AVIC_CACHE ]]; then
		broke "making $1"
	fi
	[[ -w $1 ]] || fail 2 "cannot write to the cache $AVIC_CACHE: set AVIC_CACHE to a folder of your own"
}

# new_aside FOLDER: fills `new`, a folder in FOLDER to make something in.  It is locked as
# long as this script lives, or one that it has started: a PID means nothing in another
# container.  Of those that nobody has locked, the run was killed: they are removed.
new_aside() {
	local left lock
	need_cache "$1"
	for left in "$1"/.new.*; do
		{ exec {lock}<"$left"; } 2>/dev/null || continue
		if flock --nonblock "$lock"; then
			# It is empty if its run is just about to lock it, and makes another then.
			[[ -z $(ls --almost-all "$left") ]] || say "removing $left, which a killed run has left"
			rm --recursive --force -- "$left"
		fi
		exec {lock}<&-
	done
	new=
	# Another run may remove it before it is locked.
	while [[ ! -d $new ]]; do
		new=$1/.new.$SRANDOM$SRANDOM
		aside+=("$new")
		mkdir "$new"
		{ exec {lock}<"$new"; } 2>/dev/null || continue
		flock "$lock"
	done
}

# alone FOLDER WHAT: wait until no other run has the folder; it is this one's till the end.
alone() {
	local lock
	need_cache "$1"
	exec {lock}>"$1/.lock"
	flock --nonblock "$lock" || {
		say "waiting for another run that $2"
		flock "$lock"
	}
}

# leave STATUS: end by a signal.  Who has started this may send another one at once: it gets here
# as well, from within cleanup, and does that again.
leave() {
	cleanup
	exit "$1"
}

trap cleanup EXIT
# After a signal during the first "$( )" of a command, bash 5.2 parses the trap as the inside of
# the second one, and wants its ")".
for number in 1 2 15; do
	ends="leave $((128 + number))"$'\n)'
	# shellcheck disable=SC2064 # its value now
	trap "$ends" "$number"
done

unset CDPATH
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
verb=$(basename "$0")
make_known
read_options "$@"
set -- "${arguments[@]}"
cache_place
stand
BASE=${BASE:-${its_base:-v6.12}}
patches=$top/patches/$BASE
base_file=$patches/base
JOBS=${JOBS:-$(nproc)}
V=${V:-}
