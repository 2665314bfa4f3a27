// SPDX-License-Identifier: GPL-2.0
/*
 * load STEPS: keep all CPUs busy with IPIs, timers and wake-ups, and check that
 * none is lost for long.
 *
 * One thread a CPU.  Each wakes up the next one through an eventfd, so that a
 * token goes STEPS steps; each wake-up of an idle CPU is an IPI.  At every 16th
 * token a thread sleeps a millisecond (a timer interrupt), and at every 64th it
 * sends a memory barrier to all CPUs (an IPI that the sender waits for).  STEPS
 * and not a time: exits are counted, and a faster machine must not have more.
 */
#define _GNU_SOURCE
#include <err.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <linux/membarrier.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#define MAX_CPUS	64
#define LOST_MS		20000	/* longer than any machine is just slow */

static int tokens[MAX_CPUS];
static int cpus;
/* Read and written only by who has the token. */
static long steps;

static void *run(void *arg)
{
	struct timespec ms = { .tv_nsec = 1000000 };
	long cpu = (long)arg;
	int done = 0, had = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "cannot run on CPU %ld", cpu);

	while (!done) {
		struct pollfd fd = { .fd = tokens[cpu], .events = POLLIN };
		eventfd_t value;

		if (poll(&fd, 1, LOST_MS) != 1)
			errx(1, "CPU %ld: no token for %d ms, after %d", cpu, LOST_MS, had);
		eventfd_read(tokens[cpu], &value);
		if (++had % 16 == 0)
			nanosleep(&ms, NULL);
		if (had % 64 == 0 &&
		    syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0))
			err(1, "membarrier");
		/* The token goes round once more, and ends each thread. */
		done = steps <= 0;
		steps--;
		eventfd_write(tokens[(cpu + 1) % cpus], 1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[MAX_CPUS];
	long cpu;

	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	steps = argc == 2 ? atol(argv[1]) : 0;
	if (steps <= 0 || cpus > MAX_CPUS)
		errx(2, "usage: load STEPS, on at most %d CPUs", MAX_CPUS);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0))
		err(1, "membarrier");

	for (cpu = 0; cpu < cpus; cpu++)
		tokens[cpu] = eventfd(0, 0);
	for (cpu = 0; cpu < cpus; cpu++)
		if (pthread_create(&threads[cpu], NULL, run, (void *)cpu))
			errx(1, "pthread_create");
	eventfd_write(tokens[0], 1);

	for (cpu = 0; cpu < cpus; cpu++)
		pthread_join(threads[cpu], NULL);
	printf("%s steps on %d CPUs\n", argv[1], cpus);
	return 0;
}
