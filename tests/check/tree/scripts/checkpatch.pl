#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
# checkpatch.pl --strict --terse --show-types FILE: one of the real one's checks, and its summary.
my ($file) = $ARGV[-1];
my ($errors, $lines) = (0, 0);
open(my $patch, '<', $file) or die "$file: $!\n";
while (<$patch>) {
	$lines++;
	if (/^\+.*[ \t]$/) {
		print "$file:$.: ERROR:TRAILING_WHITESPACE: trailing whitespace\n";
		$errors++;
	}
}
print "total: $errors errors, 0 warnings, 0 checks, $lines lines checked\n";
exit($errors ? 1 : 0);
