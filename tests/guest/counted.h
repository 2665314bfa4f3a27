/* SPDX-License-Identifier: GPL-2.0 */
/* For programs that tests/guest/counts or pages runs: they tell the trace what is to be counted. */
#ifndef COUNTED_H
#define COUNTED_H

#include <err.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What comes next; the script that runs the program says which words it knows. */
static inline void mark(const char *what)
{
	static int marker = -1;

	if (marker < 0)
		marker = open("/sys/kernel/tracing/instances/bench/trace_marker", O_WRONLY);
	if (marker < 0 || write(marker, what, strlen(what)) != (long)strlen(what))
		err(1, "trace_marker");
}

#endif
