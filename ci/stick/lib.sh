# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the scripts on the stick share.
# shellcheck disable=SC2034 # used by the scripts that read this file

stick=/stick
run=/run/avic # the results of this run, in memory: these count
mnt=/mnt
kept=$mnt/running # the same on the stick, as far as it has room
label=AVIC-REPORT
rule=------------------------------------------------------------------------------

# The terminals of this machine: its screen, and the serial ports that are there.
find_consoles() {
	[ ! -c /dev/tty1 ] || echo /dev/tty1
	sed -n 's,^\([01]\): uart:[^u].*,/dev/ttyS\1,p' /proc/tty/driver/serial 2>/dev/null
}
consoles=$(find_consoles)

# say TEXT...: a line on each console.
say() {
	for tty in $consoles; do
		printf '%s\n' "$*" >>"$tty"
	done
}

# show: stdin on each console.
show() {
	while IFS= read -r line || [ -n "$line" ]; do
		say "$line"
	done
}

# ask SECONDS DEFAULT: a word that somebody types on a console; for an empty line, or after so
# many seconds (0: never), the default.
ask() {
	rm -f /tmp/typed /tmp/typed.*
	readers=
	for tty in $consoles; do
		(
			IFS= read -r typed <"$tty" && echo "$typed" >"/tmp/typed.${tty##*/}" &&
				mv "/tmp/typed.${tty##*/}" /tmp/typed
		) >/dev/null 2>&1 &
		readers="$readers $!"
	done
	left=$1
	while [ ! -e /tmp/typed ]; do
		sleep 1
		left=$((left - 1))
		[ $left -ne 0 ] || break
	done
	# shellcheck disable=SC2086 # several numbers
	kill $readers 2>/dev/null
	[ -e /tmp/typed ] || : >/tmp/typed
	answer=$(tr -dc 'a-z0-9A-Z:.' </tmp/typed | tr '[:upper:]' '[:lower:]')
	echo "${answer:-$2}"
}

# unfinished KTAP: the test that a log ends in, '' if it ends between two.
unfinished() {
	awk '/^    # start / { name = $3 } /^    # sum / { name = "" } END { print name }' "$1" 2>/dev/null
}

# keep FILE...: bring what is new of these files of the run onto the stick.  Where that is not
# possible, it is said once, and the run goes on in memory.
keep() {
	[ -e /tmp/partition ] && [ ! -e /tmp/unkept ] || return 0
	# A stick that was pulled has no folder any more.
	if [ ! -d "$kept" ]; then
		unkept
		return 0
	fi
	for file in "$@"; do
		have=$(stat -c %s "$kept/$file" 2>/dev/null || echo 0)
		tail -c +$((have + 1)) "$run/$file" 2>/dev/null >>"$kept/$file" || unkept
	done
	sync
	# A stick that was pulled takes what is written, and forgets it.
	[ -e "$(cat /tmp/partition 2>/dev/null)" ] || unkept
}

unkept() {
	[ -e /tmp/unkept ] ||
		say "!! The stick is full, or it was pulled out: from here on results are in memory only."
	: >/tmp/unkept
}
