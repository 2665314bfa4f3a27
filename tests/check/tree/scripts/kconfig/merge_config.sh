#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# merge_config.sh -m -O OUT OUT/.config FRAGMENT...: the last word on each option.
out=$3
shift 3
cat "$@" | awk '
	/^CONFIG_[A-Z0-9_]+=/ { name = $0; sub(/=.*/, "", name); last[name] = $0 }
	/^# CONFIG_[A-Z0-9_]+ is not set/ { last[$2] = $0 }
	END { for (name in last) print last[name] }
' >"$out/.config.new"
mv "$out/.config.new" "$out/.config"
