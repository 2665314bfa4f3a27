/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mark("STEP"): here a step begins that is to be counted.
 *
 * Below tests/guest/counts or pages it is written into their trace; they say which words they
 * know.  Without them the program prints at its end "STEP NUMBER": the ns of CPU time that it
 * took until the next mark.  With QEMU=ci/emulator/icount these are instructions.
 */
#ifndef COUNTED_H
#define COUNTED_H

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	const char *step;
	long long ns;
} marks[64];
static unsigned int nr_marks;

static void print_marks(void)
{
	unsigned int i;

	for (i = 0; i + 1 < nr_marks; i++)
		printf("%s %lld\n", marks[i].step, marks[i + 1].ns - marks[i].ns);
}

static inline void keep_mark(const char *step)
{
	struct timespec used;

	if (!nr_marks && atexit(print_marks))
		errx(1, "atexit");
	if (nr_marks == sizeof(marks) / sizeof(*marks))
		errx(1, "more marks than it can keep");
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used))
		err(1, "its CPU time");
	marks[nr_marks].step = step;
	marks[nr_marks++].ns = used.tv_sec * 1000000000LL + used.tv_nsec;
}

static inline void mark(const char *step)
{
	static int marker = -2;

	if (marker == -2)
		marker = open("/sys/kernel/tracing/instances/bench/trace_marker", O_WRONLY);
	if (marker < 0)
		keep_mark(step);
	else if (write(marker, step, strlen(step)) != (long)strlen(step))
		err(1, "trace_marker");
}

#endif
