# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Completion of avic-status, for bash: its options, and processes that have VMs.

_avic_status() {
	local word=$2 before=$3
	case $before in
	-p | --pid)
		mapfile -t COMPREPLY < <(
			for each in /proc/[0-9]*; do
				compgen -G "$each/fd/*" >/dev/null && [[ $(readlink "$each"/fd/* 2>/dev/null) == *anon_inode:kvm-vm* ]] && echo "${each##*/}"
			done | grep -- "^$word"
		)
		return 0
		;;
	-w | --watch | -i | --interval | -c | --count) return 0 ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$("$1" --help 2>/dev/null | grep --only-matching -- '--[a-z]*')" -- "$word")
}
complete -F _avic_status avic-status
