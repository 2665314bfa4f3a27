// SPDX-License-Identifier: GPL-2.0
/*
 * as_user CAPS COMMAND...: run a command as nobody, with no capabilities but these.
 *
 * CAPS: numbers as in linux/capability.h, joined by commas; or "none".
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/capability.h>

int main(int argc, char **argv)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {};
	uint64_t caps = 0;
	char *word;
	int cap;

	if (argc < 3)
		errx(2, "usage: as_user CAPS COMMAND...");
	if (strcmp(argv[1], "none"))
		for (word = strtok(argv[1], ","); word; word = strtok(NULL, ","))
			caps |= 1ull << atoi(word);
	if (prctl(PR_SET_KEEPCAPS, 1L) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		err(1, "becoming nobody");
	data[0].permitted = data[0].effective = data[0].inheritable = (uint32_t)caps;
	data[1].permitted = data[1].effective = data[1].inheritable = caps >> 32;
	if (syscall(SYS_capset, &header, data))
		err(1, "capset");
	for (cap = 0; cap < 64; cap++)
		if (caps >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0L, 0L))
			err(1, "keeping capability %d", cap);
	execv(argv[2], argv + 2);
	err(1, "%s", argv[2]);
}
