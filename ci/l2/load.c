// SPDX-License-Identifier: GPL-2.0
/*
 * load SECONDS: keep all CPUs busy with IPIs, timers and wake-ups, and check
 * that none is lost for long.
 *
 * One thread a CPU.  Each wakes up the next one through an eventfd, so that a
 * token goes round; each wake-up of an idle CPU is an IPI.  Every 16th round it
 * sleeps a millisecond (a timer interrupt), and every 64th it sends a memory
 * barrier to all CPUs (an IPI that the sender waits for).
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
static long rounds[MAX_CPUS];
static int cpus;
static volatile int stop;

static void *run(void *arg)
{
	struct timespec ms = { .tv_nsec = 1000000 };
	long cpu = (long)arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "cannot run on CPU %ld", cpu);

	while (!stop) {
		struct pollfd fd = { .fd = tokens[cpu], .events = POLLIN };
		eventfd_t value;

		if (poll(&fd, 1, LOST_MS) != 1)
			errx(1, "CPU %ld: no token for %d ms, after %ld", cpu, LOST_MS, rounds[cpu]);
		eventfd_read(tokens[cpu], &value);
		if (++rounds[cpu] % 16 == 0)
			nanosleep(&ms, NULL);
		if (rounds[cpu] % 64 == 0 &&
		    syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0))
			err(1, "membarrier");
		eventfd_write(tokens[(cpu + 1) % cpus], 1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[MAX_CPUS];
	long cpu, total = 0;

	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (argc != 2 || cpus > MAX_CPUS)
		errx(2, "usage: load SECONDS, on at most %d CPUs", MAX_CPUS);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0))
		err(1, "membarrier");

	for (cpu = 0; cpu < cpus; cpu++)
		tokens[cpu] = eventfd(0, 0);
	for (cpu = 0; cpu < cpus; cpu++)
		if (pthread_create(&threads[cpu], NULL, run, (void *)cpu))
			errx(1, "pthread_create");
	eventfd_write(tokens[0], 1);

	sleep(atoi(argv[1]));
	stop = 1;
	for (cpu = 0; cpu < cpus; cpu++)
		eventfd_write(tokens[cpu], 1);
	for (cpu = 0; cpu < cpus; cpu++) {
		pthread_join(threads[cpu], NULL);
		total += rounds[cpu];
	}
	printf("%ld rounds on %d CPUs\n", total / cpus, cpus);
	return total / cpus < 10;
}
