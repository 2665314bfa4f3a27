# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Completion of the verbs in scripts/, for bash.  To be read in by you:
#
#   . ~/avic/scripts/completion.bash
#
# A verb's --help says which options it has, and export's which forms; ci/run/lanes has the
# lanes, bench/ the benches; other words are bases, sections and slugs.

_avic() {
	local verb=$1 word=$2 before=$3 top
	top=$(dirname "$(dirname "$(realpath "$(type -P "$verb" || echo "$verb")")")")
	[[ -d $top/patches ]] || return 0
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(
			"$verb" --help 2>/dev/null |
				sed --quiet --regexp-extended 's/^ +(--[a-z-]+|[A-Z_]+=).*/\1/p' |
				sed --regexp-extended '/=$/ { s/^/--/; s/=$//; y/ABCDEFGHIJKLMNOPQRSTUVWXYZ_/abcdefghijklmnopqrstuvwxyz-/ }' |
				sort --unique | grep -- "^$word"
		)
		return 0
	fi
	case $before in
	--level) mapfile -t COMPREPLY < <(printf '%s\n' base stack | grep -- "^$word") ;;
	--lanes)
		mapfile -t COMPREPLY < <(
			sed --quiet --regexp-extended 's/^([^# ]+) .*/\1/p' "$top/ci/run/lanes" | grep -- "^$word"
		)
		;;
	esac
	[[ $before != --level && $before != --lanes ]] || return 0
	if [[ $before == "$verb" && ${verb##*/} == export ]]; then
		mapfile -t COMPREPLY < <(
			"$verb" --help 2>/dev/null | sed --quiet --regexp-extended 's/^  ([a-z0-9]+) .*/\1/p' | grep -- "^$word"
		)
		return 0
	fi
	if [[ ${verb##*/} == bench ]]; then
		mapfile -t COMPREPLY < <(cd "$top/bench" && printf '%s\n' * | grep -- "^$word")
		return 0
	fi
	mapfile -t COMPREPLY < <(
		{
			sed --quiet --regexp-extended 's/^# Section ([a-z0-9-]+):.*/\1/p' "$top"/patches/*/series
			(cd "$top/patches" && printf '%s\n' */ | sed 's,/$,,')
			sed --quiet --regexp-extended 's/^[0-9]{4}-(.*)\.patch.*/\1/p' "$top"/patches/*/series
		} | sort --unique | grep -- "^$word"
	)
}

# Each verb of this folder, by its name and by its path.
_avic_verbs() {
	local verb here
	here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
	for verb in "$here"/*; do
		[[ ! -f $verb || ! -x $verb ]] || complete -o default -F _avic "${verb##*/}" "scripts/${verb##*/}"
	done
	unset -f _avic_verbs
}
_avic_verbs
