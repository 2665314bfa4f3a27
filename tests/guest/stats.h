/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stat_in(fd, NAME): one of KVM's own counts, of the vCPU whose statistics fd has
 * (KVM_GET_STATS_FD).  Where it is gets looked up once.
 */
#ifndef STATS_H
#define STATS_H

#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/kvm.h>

static inline uint64_t stat_in(int fd, const char *name)
{
	static struct { const char *name; off_t where; } known[8];
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	uint64_t value;
	unsigned int i, slot;
	size_t size;

	for (slot = 0; known[slot].name && strcmp(known[slot].name, name); slot++)
		;
	if (!known[slot].name) {
		if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
			err(1, "reading KVM's statistics");
		size = sizeof(*desc) + header.name_size;
		desc = malloc(size);
		for (i = 0; i < header.num_desc && !known[slot].name; i++) {
			if (pread(fd, desc, size, header.desc_offset + i * size) != (long)size)
				err(1, "reading KVM's statistics");
			if (!strcmp(desc->name, name)) {
				known[slot].where = header.data_offset + desc->offset;
				known[slot].name = name;
			}
		}
		free(desc);
		if (!known[slot].name)
			errx(1, "KVM has no statistic '%s'", name);
	}
	if (pread(fd, &value, sizeof(value), known[slot].where) != sizeof(value))
		err(1, "reading KVM's statistics");
	return value;
}

#endif
